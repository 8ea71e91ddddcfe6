package tlsprobe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/x86/x86asm"

	"github.com/sidelight/sidelight/internal/testkit"
)

// Real builds: what the selector chooses in them is in a golden file for each suite. The next release of a stable suite brings
// other offsets, and by Debian's rules neither another version nor another compiler, so those are in the file and offsets are not.
func TestDebian(t *testing.T) {
	t.Parallel()
	fetch := exec.Command("testdata/fetch.sh")
	var complaint bytes.Buffer
	fetch.Stderr = &complaint
	out, err := fetch.Output()
	if err != nil {
		testkit.Skip(t, fmt.Sprintf("needs Debian's libssl of several suites (testdata/fetch.sh): %v: %s", err, complaint.String()))
	}
	folder := strings.TrimSpace(string(out))
	for _, suite := range []string{"bullseye-security", "bookworm-security", "trixie-security", "sid"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			library := one(t, filepath.Join(folder, suite, "libssl.so*"))
			f, err := os.Open(library)
			require.NoError(t, err)
			defer func() { _ = f.Close() }()
			plan, err := Inspect(f)
			require.NoError(t, err)
			require.Regexp(t, "^[0-9a-f]{40}$", plan.BuildID)
			requireShared(t, library, plan)
			if suite == "sid" {
				// It changes any day: only what must hold of every library is asked of it.
				t.Logf("%s", describe(t, library, plan))
				return
			}
			testkit.Golden(t, filepath.Join("testdata", "debian", suite+".golden"), describe(t, library, plan))
		})
	}
}

func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.Len(t, found, 1, pattern)
	return found[0]
}

func describe(t *testing.T, library string, plan *Plan) []byte {
	t.Helper()
	data, err := os.ReadFile(library)
	require.NoError(t, err)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s\nsite: %s\nwhy: %s\n", plan.Stack, plan.Version, plan.Site, plan.Why)
	for _, site := range plan.Sites {
		inst, err := x86asm.Decode(data[site.Offset:], 64)
		first := "endbr64"
		if !bytes.HasPrefix(data[site.Offset:], endbr64) {
			require.NoError(t, err)
			first = x86asm.GNUSyntax(inst, 0, nil)
		}
		marked := bytes.HasSuffix(data[:site.Offset], endbr64)
		fmt.Fprintf(&out, "%s %s inner=%t behind-endbr64=%t %s\n", site.Role, site.Function, site.Inner, marked, first)
	}
	return out.Bytes()
}

// requireShared shows by other means that inner sites are where they should be: by the section headers, all calls of a wrapper
// wherever they stand, and the unwinder's records themselves.
func requireShared(t *testing.T, library string, plan *Plan) {
	t.Helper()
	f, err := elf.Open(library)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	text := f.Section(".text")
	code, err := text.Data()
	require.NoError(t, err)
	symbols, err := f.DynamicSymbols()
	require.NoError(t, err)
	calls := func(name string) (targets []uint64) {
		at := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == name })
		require.GreaterOrEqual(t, at, 0, name)
		for pc, end := symbols[at].Value, symbols[at].Value+symbols[at].Size; pc < end; {
			rest := code[pc-text.Addr:]
			if bytes.HasPrefix(rest, endbr64) {
				pc += 4
				continue
			}
			inst, err := x86asm.Decode(rest, 64)
			require.NoError(t, err)
			pc += uint64(inst.Len)
			if to, ok := inst.Args[0].(x86asm.Rel); ok && inst.Op == x86asm.CALL {
				targets = append(targets, pc+uint64(int64(to)))
			}
		}
		return targets
	}
	functions := unwound(t, f)
	for _, site := range plan.Sites {
		if !site.Inner {
			continue
		}
		address := site.Offset - text.Offset + text.Addr
		if bytes.HasSuffix(code[:address-text.Addr], endbr64) {
			address -= 4
		}
		callers := map[Role][]string{ReadEx: {"SSL_read", "SSL_read_ex"}, WriteEx: {"SSL_write", "SSL_write_ex"}, WriteEx2: {"SSL_write", "SSL_write_ex2"}}[site.Role]
		require.Len(t, callers, 2, site.Role)
		for _, caller := range callers {
			require.Contains(t, calls(caller), address, caller)
		}
		for _, peek := range peekers {
			require.NotContains(t, calls(peek), address, peek)
		}
		require.Contains(t, functions, address, "%s is no function's start", site.Function)
	}
}

// unwound lists where the records of .eh_frame say that functions start.
func unwound(t *testing.T, f *elf.File) map[uint64]bool {
	t.Helper()
	section := f.Section(".eh_frame")
	data, err := section.Data()
	require.NoError(t, err)
	starts := map[uint64]bool{}
	for at := 0; at+12 <= len(data); {
		length := int(binary.LittleEndian.Uint32(data[at:]))
		if length == 0 {
			break
		}
		if binary.LittleEndian.Uint32(data[at+4:]) != 0 {
			relative := int32(binary.LittleEndian.Uint32(data[at+8:]))
			starts[section.Addr+uint64(at+8)+uint64(int64(relative))] = true
		}
		at += 4 + length
	}
	require.NotEmpty(t, starts)
	return starts
}
