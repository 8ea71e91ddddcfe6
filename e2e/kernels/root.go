package kernels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// root is a machine's root file system while it is put together. Paths are absolute and free of symbolic links in their
// folders, so that /lib and /usr/lib stay one.
type root struct {
	entries map[string]entry
	err     error
}

// entry is a file of this host, a text, a symbolic link, or a folder.
type entry struct {
	from, text, link string
	folder           bool
}

func newRoot() *root {
	r := &root{entries: map[string]entry{}}
	for name, target := range map[string]string{"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64"} {
		r.put(name, entry{link: target})
	}
	for _, folder := range folders {
		r.put(folder, entry{folder: true})
	}
	for name, text := range texts {
		r.put(name, entry{text: text})
	}
	return r
}

// put adds an entry and the folders above it. What is there already stays.
func (r *root) put(name string, e entry) {
	if _, ok := r.entries[name]; ok {
		return
	}
	r.entries[name] = e
	if parent := path.Dir(name); parent != "/" {
		r.put(parent, entry{folder: true})
	}
}

// host takes a file of this host along, at its own path, by way of the symbolic links that lead to it.
func (r *root) host(name string) {
	folder, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	name = filepath.Join(folder, filepath.Base(name))
	info, err := os.Lstat(name)
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		r.put(name, entry{from: name})
		return
	}
	target, err := os.Readlink(name)
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	r.put(name, entry{link: target})
	if !filepath.IsAbs(target) {
		target = filepath.Join(folder, target)
	}
	r.host(target)
}

// tree takes all files below a path along, or the file itself.
func (r *root) tree(from string) {
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.ContainsFunc(leftOut, func(out string) bool {
				return d.Name() == out || strings.HasSuffix(out, ".") && strings.HasPrefix(d.Name(), out)
			}) {
				return filepath.SkipDir
			}
			return nil
		}
		r.host(name)
		return nil
	})
	r.err = errors.Join(r.err, err)
}

// programs takes this host's programs, what they read, and the libraries of both along.
func (r *root) programs(ctx context.Context) error {
	var missing []string
	for _, program := range programs {
		if _, err := os.Stat(program); err != nil {
			missing = append(missing, program)
			continue
		}
		r.host(program)
	}
	if len(missing) > 0 {
		return fmt.Errorf("this host lacks %s: run scripts/setup.sh kernels", strings.Join(missing, ", "))
	}
	for _, pattern := range trees {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("tree %s: %w", pattern, err)
		}
		for _, name := range found {
			r.tree(name)
		}
	}
	var files []string
	for _, e := range r.entries {
		if e.from != "" {
			files = append(files, e.from)
		}
	}
	found, err := libraries(ctx, files)
	if err != nil {
		return err
	}
	for _, library := range found {
		r.host(library)
	}
	return errors.Join(r.err, r.applets(ctx))
}

// applets gives busybox the names that no program of its own has.
func (r *root) applets(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, "/usr/bin/busybox", "--list").Output()
	if err != nil {
		return fmt.Errorf("asking busybox for its programs: %w", err)
	}
	for applet := range strings.FieldsSeq(string(output)) {
		if _, ok := r.entries["/usr/sbin/"+applet]; !ok {
			r.put("/usr/bin/"+applet, entry{link: "busybox"})
		}
	}
	return nil
}

// write makes the archive; folders come before what is in them.
func (r *root) write(w io.Writer) error {
	a := &archive{w: w}
	names := make([]string, 0, len(r.entries))
	for name := range r.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := writeEntry(a, name, r.entries[name]); err != nil {
			return err
		}
	}
	return a.close()
}

func writeEntry(a *archive, name string, e entry) error {
	switch {
	case e.folder:
		return a.dir(name)
	case e.link != "":
		return a.link(name, e.link)
	case e.from == "":
		return a.file(name, 0o644, []byte(e.text))
	}
	info, err := os.Stat(e.from)
	if err != nil {
		return fmt.Errorf("the machine's root: %w", err)
	}
	data, err := os.ReadFile(e.from)
	if err != nil {
		return fmt.Errorf("the machine's root: %w", err)
	}
	return a.file(name, info.Mode(), data)
}
