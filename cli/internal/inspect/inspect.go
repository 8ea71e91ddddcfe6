// Package inspect judges recorded exchanges with the processor's own decoder, engine and verdict: no network, no
// database, no root.
package inspect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sidelight/sidelight/cli/internal/exit"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor"
)

// maxLine bounds one recorded exchange.
const maxLine = 64 << 20

// Command is the verb `inspect`.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE…",
		Short: "Judge recorded exchanges (NDJSON; - reads standard input)",
		Long: `Judge recorded exchanges with the decoder, engine and verdict of the processor.

One line is one exchange, "method" and "target" are required:
  {"id":"1","method":"GET","target":"/?q=1","headers":[["Host","shop"]],"body_base64":"","response":{"status":200}}
In method, target and headers every character is one byte. The answers come in the order of the lines.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) == 0 {
				return exit.Usage(errors.New("inspect: name a file of recorded exchanges, or - for standard input"))
			}
			inspector, err := processor.NewInspector(processor.DefaultInspectorConfig())
			if err != nil {
				return fmt.Errorf("inspect: %w", err)
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			bad := 0
			for _, name := range files {
				n, err := inspectFile(name, cmd.InOrStdin(), inspector, out, cmd.ErrOrStderr())
				bad += n
				if err != nil {
					return errors.Join(err, out.Flush())
				}
			}
			if err := out.Flush(); err != nil {
				return fmt.Errorf("inspect: writing: %w", err)
			}
			if bad > 0 {
				return fmt.Errorf("inspect: %d bad lines, named above", bad)
			}
			return nil
		},
	}
}

type judge interface {
	Inspect(*trafficv1.Exchange) processor.Verdict
}

func inspectFile(name string, stdin io.Reader, by judge, out, complaints io.Writer) (bad int, err error) {
	in, shown := stdin, "standard input"
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return 0, fmt.Errorf("inspect: %w", err)
		}
		defer file.Close()
		in, shown = file, name
	}
	return inspectLines(in, by, out, func(number int, err error) {
		fmt.Fprintf(complaints, "%s:%d: %v\n", shown, number, err)
	})
}

// inspectLines judges lines in parallel and answers in their order.
func inspectLines(in io.Reader, by judge, out io.Writer, complain func(int, error)) (bad int, err error) {
	type answer struct {
		number int
		text   []byte
		err    error
	}
	// The queue holds one future per line that is under way: its bound is the parallelism.
	futures := make(chan chan answer, runtime.GOMAXPROCS(0))
	readErr := make(chan error, 1)
	go func() {
		defer close(futures)
		readErr <- eachLine(in, func(number int, line []byte) {
			future := make(chan answer, 1)
			futures <- future
			go func() {
				text, err := judgeLine(line, number, by)
				future <- answer{number, text, err}
			}()
		})
	}()
	var writeErr error
	for future := range futures {
		a := <-future
		if a.err != nil {
			bad++
			complain(a.number, a.err)
			continue
		}
		if writeErr == nil {
			_, writeErr = out.Write(append(a.text, '\n'))
		}
	}
	return bad, errors.Join(<-readErr, writeErr)
}

// eachLine calls do for each line that is not blank.
func eachLine(in io.Reader, do func(int, []byte)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	number := 0
	for lines.Scan() {
		number++
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			do(number, bytes.Clone(line))
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading line %d: %w", number+1, err)
	}
	return nil
}

// result is one line of the output.
type result struct {
	ID            json.RawMessage `json:"id,omitempty"`
	Hits          []hit           `json:"hits"`
	Matches       []uint32        `json:"matches"`
	Complete      bool            `json:"complete"`
	WhyIncomplete string          `json:"why_incomplete,omitempty"`
}

type hit struct {
	Type       string   `json:"type"`
	Severity   string   `json:"severity"`
	Confidence string   `json:"confidence"`
	Point      string   `json:"point"`
	Rules      []uint32 `json:"rules"`
	Evidence   evidence `json:"evidence"`
}

type evidence struct {
	Offset uint64 `json:"offset"`
	Length uint64 `json:"length"`
	// The matched bytes, masked, one character for each.
	Text string `json:"text"`
	// The same with what stands around it, where that is more.
	Context string `json:"context,omitempty"`
	// Steps from the raw value to the one that offset and length are in.
	Decoding []string `json:"decoding,omitempty"`
}

func judgeLine(line []byte, number int, by judge) ([]byte, error) {
	exchange, id, err := parse(line, number)
	if err != nil {
		return nil, err
	}
	verdict := by.Inspect(exchange)
	r := result{ID: id, Hits: []hit{}, Matches: verdict.Matches, Complete: verdict.Complete, WhyIncomplete: verdict.WhyIncomplete}
	if r.Matches == nil {
		r.Matches = []uint32{}
	}
	for _, h := range verdict.Hits {
		r.Hits = append(r.Hits, asHit(h))
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	// Payloads stay readable: this is NDJSON for tools, not text inside a page.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return bytes.TrimRight(text.Bytes(), "\n"), nil
}

func asHit(h *detectionv1.Hit) hit {
	return hit{
		Type: h.GetType(), Point: h.GetPoint(), Rules: h.GetRules(),
		Severity:   strings.ToLower(strings.TrimPrefix(h.GetSeverity().String(), "SEVERITY_")),
		Confidence: strings.ToLower(strings.TrimPrefix(h.GetConfidence().String(), "CONFIDENCE_")),
		Evidence:   asEvidence(h.GetEvidence()),
	}
}

func asEvidence(e *detectionv1.Evidence) evidence {
	shown := evidence{Offset: e.GetOffset(), Length: e.GetLength(), Decoding: e.GetDecoding(), Text: wireText(e.GetText())}
	if e.GetOffset() < e.GetTextOffset() {
		return shown
	}
	start := e.GetOffset() - e.GetTextOffset()
	if end := start + e.GetLength(); end <= uint64(len(e.GetText())) && end-start < uint64(len(e.GetText())) {
		shown.Context = shown.Text
		shown.Text = wireText(e.GetText()[start:end])
	}
	return shown
}
