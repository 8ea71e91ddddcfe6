package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sidelight/sidelight/internal/logging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func wait(ctx context.Context) error { <-ctx.Done(); return nil }

func TestRun(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	t.Run("the first error cancels the others and is the result", func(t *testing.T) {
		t.Parallel()
		var cause error
		err := Run(t.Context(),
			Task{"waits", func(ctx context.Context) error { <-ctx.Done(); cause = context.Cause(ctx); return ctx.Err() }},
			Task{"breaks", func(context.Context) error { return broken }})
		require.ErrorIs(t, err, broken)
		require.EqualError(t, err, "breaks: broken")
		require.ErrorIs(t, cause, broken)
	})
	t.Run("a task that ends ends all", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, Run(t.Context(), Task{"waits", wait}, Task{"ends", func(context.Context) error { return nil }}))
	})
	t.Run("a panic is an error", func(t *testing.T) {
		t.Parallel()
		err := Run(t.Context(), Task{"waits", wait}, Task{"panics", func(context.Context) error { panic("x") }})
		require.ErrorContains(t, err, "panics: panic: x")
	})
	t.Run("cancelled from outside is no error", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, Run(ctx, Task{"fails late", func(ctx context.Context) error { <-ctx.Done(); return broken }}))
	})
}

type sample struct {
	Log  logging.Config `yaml:"log"`
	Name string         `yaml:"name"`
}

func TestMainExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good, bad, invalid, failing := file("good", "name: x\n"), file("bad", "nmae: x\n"), file("invalid", "log: {level: loud}\n"), file("failing", "name: fail\n")
	tests := map[string]struct {
		args        []string
		code        int
		out, errOut string
	}{
		"good":         {[]string{"--config", good}, 0, "", ""},
		"version":      {[]string{"--version"}, 0, "sample devel", ""},
		"verify":       {[]string{"--config", good, "--config.verify"}, 0, "is good", ""},
		"defaults":     {[]string{"--config.print-defaults"}, 0, "level: info", ""},
		"unknown key":  {[]string{"--config", bad}, 2, "", bad + ":1: unknown key \"nmae\""},
		"invalid":      {[]string{"--config", invalid}, 2, "", `log.level "loud"`},
		"no file":      {[]string{"--config", "/none"}, 2, "", "cannot be read"},
		"unknown flag": {[]string{"--colour"}, 2, "", "not defined"},
		"arguments":    {[]string{"now"}, 2, "", "takes no arguments"},
		"failing":      {[]string{"--config", failing}, 1, "", "it failed"},
	}
	service := Service[sample]{
		Name: "sample", Defaults: func() sample { return sample{Log: logging.DefaultConfig()} },
		Validate: func(c sample) error { return c.Log.Validate() },
		Log:      func(c sample) logging.Config { return c.Log },
		Run: func(_ context.Context, c sample, _ *slog.Logger) error {
			if c.Name == "fail" {
				return errors.New("it failed")
			}
			return nil
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errOut bytes.Buffer
			require.Equal(t, test.code, Main(service, test.args, &out, &errOut), errOut.String())
			require.Contains(t, out.String(), test.out)
			require.Contains(t, errOut.String(), test.errOut)
		})
	}
}
