package kernels

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sidelight/sidelight/e2e/kernels/guest"
)

// builder makes static binaries of this repository.
type builder struct {
	repository, out string
}

func (b builder) build(ctx context.Context, module string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(b.repository, module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), module, err, bytes.TrimSpace(output))
	}
	return nil
}

// split parts a package's folder into its module's and the rest.
func (b builder) split(dir string) (module, rest string, err error) {
	for module = dir; module != "."; module = filepath.Dir(module) {
		if _, err := os.Stat(filepath.Join(b.repository, module, "go.mod")); err == nil {
			rest, err = filepath.Rel(module, dir)
			return module, "./" + rest, err
		}
	}
	return "", "", fmt.Errorf("%s is in no module of %s", dir, b.repository)
}

// binaries builds the first process, the commands and the test packages, and puts them into the root with their plan.
func (b builder) binaries(ctx context.Context, r *root, packages []testPackage, extra []string) (guest.Plan, error) {
	var plan guest.Plan
	init := filepath.Join(b.out, "init")
	if err := b.build(ctx, "e2e", "build", "-ldflags=-s -w", "-o", init, "./kernels/cmd/init"); err != nil {
		return plan, err
	}
	r.put("/init", entry{from: init})
	for _, command := range commands {
		module, rest, err := b.split(command)
		if err != nil {
			return plan, err
		}
		file := filepath.Join(b.out, filepath.Base(command))
		if err := b.build(ctx, module, "build", "-ldflags=-w", "-o", file, rest); err != nil {
			return plan, err
		}
		r.put("/usr/bin/"+filepath.Base(command), entry{from: file})
	}
	for _, p := range packages {
		run, err := b.tests(ctx, r, p)
		if err != nil {
			return plan, err
		}
		run.Args = append(run.Args, extra...)
		plan.Runs = append(plan.Runs, run)
	}
	return plan, nil
}

// tests builds a package's test binary, and lays its testdata where the binary will look for it.
func (b builder) tests(ctx context.Context, r *root, p testPackage) (guest.Run, error) {
	module, rest, err := b.split(p.dir)
	if err != nil {
		return guest.Run{}, err
	}
	name := strings.ReplaceAll(p.dir, "/", "_") + ".test"
	file := filepath.Join(b.out, name)
	if err := b.build(ctx, module, "test", "-c", "-ldflags=-w", "-o", file, rest); err != nil {
		return guest.Run{}, err
	}
	if _, err := os.Stat(file); err != nil {
		return guest.Run{}, fmt.Errorf("%s has no tests: take it out of e2e/kernels/plan.go", p.dir)
	}
	dir := "/src/" + p.dir
	r.put(dir, entry{folder: true})
	r.put("/tests/"+name, entry{from: file})
	for _, from := range append([]string{p.dir + "/testdata"}, p.files...) {
		if err := b.sources(r, from); err != nil {
			return guest.Run{}, err
		}
	}
	args := append([]string{"-test.v=test2json", "-test.timeout=" + testTimeout.String()}, p.args...)
	return guest.Run{Package: p.dir, Binary: "/tests/" + name, Dir: dir, Args: args}, nil
}

// sources lays files of the repository below /src. A package without testdata has none.
func (b builder) sources(r *root, from string) error {
	top := filepath.Join(b.repository, from)
	if _, err := os.Stat(top); err != nil && strings.HasSuffix(from, "/testdata") {
		return nil
	}
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(b.repository, name)
		r.put("/src/"+rel, entry{from: name})
		return err
	})
	if err != nil {
		return fmt.Errorf("files of %s: %w", from, err)
	}
	return nil
}

// image writes a kernel's first root: what all kernels share, and this kernel's modules.
func (b builder) image(ctx context.Context, r *root, plan guest.Plan, k kernel) (string, error) {
	own := &root{entries: maps.Clone(r.entries)}
	for _, module := range modules {
		file, err := b.module(ctx, k, module)
		if err != nil {
			return "", err
		}
		if file == "" {
			continue
		}
		name := "/modules/" + filepath.Base(module) + ".ko"
		own.put(name, entry{from: file})
		plan.Modules = append(plan.Modules, name)
	}
	text, err := json.MarshalIndent(plan, "", "\t")
	if err != nil {
		return "", fmt.Errorf("writing the plan: %w", err)
	}
	own.put(guest.PlanPath, entry{text: string(text)})
	file, err := os.Create(filepath.Join(b.out, k.name+".cpio"))
	if err != nil {
		return "", fmt.Errorf("the machine's root: %w", err)
	}
	if err := own.write(file); err != nil {
		_ = file.Close()
		return "", err
	}
	return file.Name(), file.Close()
}

// module gives the file of a kernel's module, unpacked; "" if the kernel has none of that name.
func (b builder) module(ctx context.Context, k kernel, name string) (string, error) {
	for suffix, unpack := range map[string]string{".ko": "cat", ".ko.xz": "xz", ".ko.zst": "zstd"} {
		packed := filepath.Join(k.modules, "kernel", name+suffix)
		if _, err := os.Stat(packed); err != nil {
			continue
		}
		args := []string{"-dc", packed}
		if unpack == "cat" {
			return packed, nil
		}
		data, err := exec.CommandContext(ctx, unpack, args...).Output()
		if err != nil {
			return "", fmt.Errorf("unpacking %s: %w", packed, err)
		}
		file := filepath.Join(b.out, k.name+"-"+filepath.Base(name)+".ko")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return "", fmt.Errorf("unpacking %s: %w", packed, err)
		}
		return file, nil
	}
	return "", nil
}
