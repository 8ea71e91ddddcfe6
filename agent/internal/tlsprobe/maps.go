package tlsprobe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Bounds on what a process can make the agent read and keep. The kernel's own limit is 65 530 mappings unless it was raised.
const (
	maxMappings  = 1 << 18
	maxLine      = 32 << 10
	maxLibraries = 32
)

// File is a library that a process has mapped.
type File struct {
	// Path is as the process saw it when it mapped the file.
	Path string
	// Dev and Inode are as the kernel shows them in maps. On overlayfs and btrfs, Dev is not what stat says.
	Dev, Inode uint64
	// Start and End bound one executable mapping.
	Start, End uint64
	// Deleted: the path was removed, or is now another file's.
	Deleted bool
	// Crypto is the libcrypto beside it, which knows the version (see Version); nil if none is mapped, or not one alone.
	Crypto *File
}

// Names of libraries, also those that Python wheels and the like add a hash to.
var (
	sslName    = regexp.MustCompile(`^libssl[^/]*\.so[^/]*$`)
	cryptoName = regexp.MustCompile(`^libcrypto[^/]*\.so[^/]*$`)
)

// Mapped lists the executable file mappings of a process that may be TLS libraries, by their names, one for each file.
// A program with OpenSSL inside it has no such mapping: it would be found here, by what it exports.
func Mapped(procRoot string, pid uint32) ([]File, error) {
	maps, err := os.Open(filepath.Join(procRoot, strconv.FormatUint(uint64(pid), 10), "maps"))
	if err != nil {
		return nil, fmt.Errorf("reading what process %d has mapped: %w", pid, err)
	}
	defer func() { _ = maps.Close() }()
	files, err := parseMaps(maps)
	if err != nil {
		return nil, fmt.Errorf("reading what process %d has mapped: %w", pid, err)
	}
	return files, nil
}

func parseMaps(r io.Reader) ([]File, error) {
	lines := bufio.NewReaderSize(r, maxLine)
	var ssl, crypto found
	for n := 0; ; n++ {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 && err == nil || errors.Is(err, io.EOF) {
			if f, ok := parseMapping(strings.TrimSuffix(string(line), "\n")); ok {
				switch base := path.Base(f.Path); {
				case sslName.MatchString(base):
					ssl.add(f)
				case cryptoName.MatchString(base):
					crypto.add(f)
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return ssl.with(crypto), nil
		case err != nil:
			return nil, err
		case n == maxMappings:
			return nil, fmt.Errorf("it has more than %d mappings", maxMappings)
		case len(ssl) == maxLibraries:
			return ssl.with(crypto), nil
		}
	}
}

// found are files, each once.
type found []File

func (l *found) add(f File) {
	for _, other := range *l {
		if other.Dev == f.Dev && other.Inode == f.Inode {
			return
		}
	}
	if len(*l) < maxLibraries {
		*l = append(*l, f)
	}
}

// with pairs each library with the only libcrypto there is, or with the only one in its own folder.
func (l found) with(crypto found) []File {
	for i := range l {
		var beside found
		for _, c := range crypto {
			if path.Dir(c.Path) == path.Dir(l[i].Path) {
				beside = append(beside, c)
			}
		}
		if len(crypto) == 1 {
			beside = crypto
		}
		if len(beside) == 1 {
			l[i].Crypto = &beside[0]
		}
	}
	return l
}

// parseMapping reads a line "start-end rwxp offset major:minor inode   path"; false if it is no executable mapping of a file.
func parseMapping(line string) (File, bool) {
	var fields [5]string
	for i := range fields {
		var ok bool
		if fields[i], line, ok = strings.Cut(line, " "); !ok {
			return File{}, false
		}
	}
	start, end, _ := strings.Cut(fields[0], "-")
	major, minor, _ := strings.Cut(fields[3], ":")
	if len(fields[1]) != 4 || fields[1][2] != 'x' {
		return File{}, false
	}
	var f File
	var dev [2]uint64
	for _, number := range []struct {
		text string
		base int
		into *uint64
	}{{start, 16, &f.Start}, {end, 16, &f.End}, {major, 16, &dev[0]}, {minor, 16, &dev[1]}, {fields[4], 10, &f.Inode}} {
		n, err := strconv.ParseUint(number.text, number.base, 64)
		if err != nil {
			return File{}, false
		}
		*number.into = n
	}
	f.Dev = device(dev[0], dev[1])
	// The kernel writes a newline in a name as \012, and nothing else of it in another way.
	f.Path = strings.ReplaceAll(strings.TrimLeft(line, " "), `\012`, "\n")
	f.Path, f.Deleted = strings.CutSuffix(f.Path, " (deleted)")
	return f, strings.HasPrefix(f.Path, "/") && f.Inode != 0
}
