package tlsprobe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

// Pieces of wrappers as compilers write them.
const (
	start   = "4883ec18 85d2 js>error "                // sub $0x18,%rsp; test %edx,%edx; js
	count   = "4889e1 4863d2 "                         // mov %rsp,%rcx; movslq %edx,%rdx
	flags   = "31c9 89d2 4989e0 "                      // xor %ecx,%ecx; mov %edx,%edx; mov %rsp,%r8
	finish  = " 85c0 7e03 8b0424 @out 4883c418 c3 "    // test %eax,%eax; jle; mov (%rsp),%eax; add $0x18,%rsp; ret
	failure = "@error call:plt_ERR_new 83c8ff jmp>out" // or $-1,%eax
	passing = " 31d2 85c0 0f48c2 4883c408 c3"          // xor %edx,%edx; test %eax,%eax; cmovs %edx,%eax; add $8,%rsp; ret
	saving  = "4156 4155 415d 415e c3"                 // push %r14; push %r13 …
	endbr   = "f30f1efa "
	lea     = " 55 4889e5 4883ec10 488d4df8 4863d2 " // push %rbp; mov %rsp,%rbp; sub $0x10,%rsp; lea -8(%rbp),%rcx
	leaEnd  = " 8b4df8 85c0 0f4fc1 4883c410 5d c3"   // mov -8(%rbp),%ecx; test %eax,%eax; cmovg %ecx,%eax …
	plt     = "ff25 slot:"
)

func plain(callee string) string   { return start + count + "call:" + callee + finish + failure }
func variant(callee string) string { return "4883ec08 call:" + callee + passing }

// ssl is a library like OpenSSL 3.0, with some functions changed, added or (empty) removed.
func ssl(change map[string]string) build {
	b := build{imports: []string{"ERR_new", "SSL_write_ex2", "SSL_read"}, versions: []string{"libssl.so.3", "OPENSSL_3.0.0"}, functions: map[string]string{
		"SSL_read": plain("read_internal"), "SSL_read_ex": variant("read_internal"),
		"SSL_peek": plain("peek_internal"), "SSL_peek_ex": variant("peek_internal"),
		"SSL_write": plain("write_internal"), "SSL_write_ex": variant("write_internal"),
		"SSL_set_fd": "4154 415c c3", "SSL_free": endbr + "4154 415c c3", "SSL_clear": "4885ff c3",
		"read_internal": saving, "peek_internal": saving, "write_internal": saving,
		"plt_ERR_new": plt + "ERR_new",
	}}
	maps.Copy(b.functions, change)
	maps.DeleteFunc(b.functions, func(_, code string) bool { return code == "" })
	return b
}

// newer adds what 3.3 has: flags.
func newer(change map[string]string) build {
	b := ssl(map[string]string{
		"SSL_write": start + flags + "call:write_internal" + finish + failure, "SSL_write_ex2": endbr + variant("write_internal"),
		"SSL_write_ex": endbr + "4989c8 31c9 jmp:plt_SSL_write_ex2", "plt_SSL_write_ex2": endbr + "f2" + plt + "SSL_write_ex2",
	})
	b.versions = append(b.versions, "OPENSSL_3.3.0", "OPENSSL_3.2.0")
	maps.Copy(b.functions, change)
	return b
}

const (
	inner   = "ssl_read_internal, ssl_write_internal"
	outer   = "SSL_read, SSL_read_ex, ssl_write_internal"
	noReads = "reads: "
)

func TestSites(t *testing.T) {
	t.Parallel()
	with := func(b build, f func(*build)) build { f(&b); return b }
	tests := map[string]struct {
		library   build
		site, why string
	}{
		"as OpenSSL 3.0":               {ssl(nil), inner, ""},
		"older hash table":             {with(ssl(nil), func(b *build) { b.sysv = true }), inner, ""},
		"no symbol sizes":              {with(ssl(nil), func(b *build) { b.noSizes = true }), inner, ""},
		"marked branch targets":        {ssl(map[string]string{"SSL_read": endbr + plain("read_internal"), "read_internal": endbr + saving}), inner, ""},
		"tail call":                    {ssl(map[string]string{"SSL_read_ex": "jmp:read_internal"}), inner, ""},
		"size extended by itself":      {ssl(map[string]string{"SSL_read": start + "4889e1 89d2 call:read_internal" + finish + failure}), inner, ""},
		"frame pointer":                {ssl(map[string]string{"SSL_read": lea + "call:read_internal" + leaEnd}), inner, ""},
		"frame pointer, and leave":     {ssl(map[string]string{"SSL_read": "55 4889e5 4883ec10 85d2 js>error 488d4df8 4863d2 call:read_internal 85c0 7e03 8b45f8 @out c9 c3 " + failure}), inner, ""},
		"arguments moved and back":     {ssl(map[string]string{"SSL_read_ex": "53 4889fb 4889df call:read_internal 5b c3"}), inner, ""},
		"flags since 3.3":              {newer(nil), inner, ""},
		"single-stepped callee":        {ssl(map[string]string{"read_internal": endbr + "4883ec58 c3"}), outer, noReads + "ssl_read_internal begins with `sub $0x58,%rsp`, which costs as much to probe"},
		"no variant":                   {ssl(map[string]string{"SSL_read_ex": ""}), "SSL_read, ssl_write_internal", noReads + "it has no SSL_read_ex to compare with SSL_read"},
		"peek shares":                  {ssl(map[string]string{"SSL_peek": plain("read_internal")}), outer, noReads + "SSL_peek shares its code with SSL_read"},
		"peek_ex shares":               {ssl(map[string]string{"SSL_peek_ex": variant("read_internal")}), outer, noReads + "SSL_peek_ex shares its code with SSL_read"},
		"peek not understood":          {ssl(map[string]string{"SSL_peek": "0fa2 c3"}), "SSL_read, SSL_read_ex, SSL_write, SSL_write_ex", "SSL_peek: its code is not understood"},
		"count nowhere":                {ssl(map[string]string{"SSL_read": start + "4863d2 call:read_internal" + finish + failure}), outer, noReads + "SSL_read: it hands its arguments to no function of the library"},
		"count not used":               {ssl(map[string]string{"SSL_read": start + count + "call:read_internal 4883c418 c3 @error c3"}), outer, noReads + "SSL_read: it hands its arguments to no function of the library"},
		"count of the caller's frame":  {ssl(map[string]string{"SSL_read": "488d4c2408 4863d2 call:read_internal 8b442408 c3"}), outer, noReads + "SSL_read: it hands its arguments to no function of the library"},
		"size changed":                 {ssl(map[string]string{"SSL_read": start + count + "83c201 call:read_internal" + finish + failure}), outer, noReads + "SSL_read: it hands its arguments to no function of the library"},
		"buffer cut":                   {ssl(map[string]string{"SSL_read": start + count + "89f6 call:read_internal" + finish + failure}), outer, noReads + "SSL_read: it hands its arguments to no function of the library"},
		"session changed":              {ssl(map[string]string{"SSL_read_ex": "488b7f08 jmp:read_internal"}), outer, noReads + "SSL_read_ex: it hands its arguments to no function of the library"},
		"part of an argument written":  {ssl(map[string]string{"SSL_read_ex": "b201 jmp:read_internal"}), outer, noReads + "SSL_read_ex: it hands its arguments to no function of the library"},
		"different callees":            {ssl(map[string]string{"SSL_read_ex": variant("write_internal")}), outer, noReads + "SSL_read and SSL_read_ex share no function"},
		"two callees":                  {ssl(map[string]string{"SSL_read_ex": "85d2 js>other jmp:read_internal @other jmp:write_internal"}), outer, noReads + "SSL_read_ex: it hands its arguments to several functions"},
		"one callee of both":           {ssl(map[string]string{"SSL_write": plain("read_internal"), "SSL_write_ex": variant("read_internal")}), "SSL_read, SSL_read_ex, SSL_write, SSL_write_ex", "reads and writes seem to share one function"},
		"call through a table":         {ssl(map[string]string{"SSL_read": "488b4708 ff6030"}), outer, noReads + "SSL_read: it hands its arguments to no function of the library"},
		"unknown instruction":          {ssl(map[string]string{"SSL_read": "0fa2 " + plain("read_internal")}), outer, noReads + "SSL_read: its code is not understood"},
		"endless loop":                 {ssl(map[string]string{"SSL_read": "@a jmp>a"}), outer, noReads + "SSL_read: its code is not understood"},
		"branches without end":         {ssl(map[string]string{"SSL_read": "@a je>a js>a jmp>a"}), outer, noReads + "SSL_read: its code is not understood"},
		"runs out of its code":         {ssl(map[string]string{"SSL_read": "90"}), outer, noReads + "SSL_read: its code is not understood"},
		"callee that is no function":   {with(ssl(nil), func(b *build) { b.hidden = []string{"read_internal"} }), outer, noReads + "no function is known to begin where SSL_read calls ssl_read_internal"},
		"no table of functions":        {with(ssl(nil), func(b *build) { b.noFrames = true }), "SSL_read, SSL_read_ex, SSL_write, SSL_write_ex", "reads: no function is known to begin where SSL_read calls ssl_read_internal; writes: no function is known to begin where SSL_write calls ssl_write_internal"},
		"two versions of a symbol":     {with(ssl(nil), func(b *build) { b.again = "SSL_read" }), outer, noReads + "it has several versions of SSL_read"},
		"flags, older by its name":     {with(newer(nil), func(b *build) { b.versions = b.versions[:2] }), "ssl_read_internal, SSL_write, SSL_write_ex2", "writes: the code of SSL_write is not that of version 3.0+"},
		"no flags, newer by its name":  {with(ssl(nil), func(b *build) { b.versions = append(b.versions, "OPENSSL_3.4.0") }), "ssl_read_internal, SSL_write, SSL_write_ex", "writes: the code of SSL_write is not that of version 3.4+"},
		"flags not zero":               {newer(map[string]string{"SSL_write": plain("write_internal")}), "ssl_read_internal, SSL_write, SSL_write_ex2", "writes: SSL_write: it hands its arguments to no function of the library"},
		"flags of another kind":        {newer(map[string]string{"SSL_write": start + "b901000000 89d2 4989e0 call:write_internal" + finish + failure}), "ssl_read_internal, SSL_write, SSL_write_ex2", "writes: SSL_write: it hands its arguments to no function of the library"},
		"count of another segment":     {ssl(map[string]string{"SSL_read": start + count + "call:read_internal 648b0424 @error 4883c418 c3"}), outer, noReads + "SSL_read: it hands its arguments to no function of the library"},
		"variant passes on, directly":  {newer(map[string]string{"SSL_write_ex": "4989c8 31c9 jmp:SSL_write_ex2", "write_internal": "4883ec58 c3"}), "ssl_read_internal, SSL_write, SSL_write_ex2", "writes: ssl_write_internal begins with `sub $0x58,%rsp`, which costs as much to probe"},
		"variant passes on, by a slot": {newer(map[string]string{"SSL_write_ex": "4989c8 31c9 " + plt + "SSL_write_ex2", "write_internal": "4883ec58 c3"}), "ssl_read_internal, SSL_write, SSL_write_ex2", "writes: ssl_write_internal begins with `sub $0x58,%rsp`, which costs as much to probe"},
		"variant calls, by a slot":     {ssl(map[string]string{"SSL_read_ex": "53 ff15 slot:SSL_read 5b c3"}), "SSL_read, ssl_write_internal", noReads + "SSL_read_ex: it hands its arguments to no function of the library"},
		"errors by a slot":             {ssl(map[string]string{"SSL_read": start + count + "call:read_internal" + finish + "@error ff15 slot:ERR_new 83c8ff jmp>out"}), inner, ""},
		"arguments by a slot too":      {ssl(map[string]string{"SSL_read_ex": "85d2 js>inner " + plt + "ERR_new @inner jmp:read_internal"}), inner, ""},
		"variant calls the plain one":  {ssl(map[string]string{"SSL_read_ex": "53 call:plt_SSL_read 5b c3", "plt_SSL_read": plt + "SSL_read"}), "SSL_read, ssl_write_internal", noReads + "SSL_read_ex: it hands its arguments to no function of the library"},
		"another machine":              {with(newer(nil), func(b *build) { b.machine = elf.EM_AARCH64 }), "SSL_read, SSL_read_ex, SSL_write, SSL_write_ex2", "code is only read on x86-64"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, err := Inspect(bytes.NewReader(test.library.image()))
			require.NoError(t, err)
			require.Equal(t, test.site, plan.Site)
			require.Equal(t, test.why, plan.Why)
			require.Equal(t, "deadbeef", plan.BuildID)
		})
	}
}

func TestOffsets(t *testing.T) {
	t.Parallel()
	b := newer(map[string]string{"read_internal": endbr + saving})
	plan, err := Inspect(bytes.NewReader(b.image()))
	require.NoError(t, err)
	require.Equal(t, []Site{
		{ReadEx, "ssl_read_internal", b.address("read_internal") - buildBase + 4, true},
		{WriteEx2, "ssl_write_internal", b.address("write_internal") - buildBase, true},
		{SetFD, "SSL_set_fd", b.address("SSL_set_fd") - buildBase, false},
		{Free, "SSL_free", b.address("SSL_free") - buildBase + 4, false},
		{Free, "SSL_clear", b.address("SSL_clear") - buildBase, false},
	}, plan.Sites)
	require.Equal(t, "3.3+", plan.Version)
}

// A table in another encoding than linkers write is none.
func TestOtherFrameTables(t *testing.T) {
	t.Parallel()
	for at := range 4 {
		image := ssl(nil).image()
		image[buildEH+at]++
		plan, err := Inspect(bytes.NewReader(image))
		require.NoError(t, err)
		require.Contains(t, plan.Why, "no function is known to begin where SSL_read calls ssl_read_internal", "byte %d", at)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	changed := func(at int, to byte) []byte {
		image := ssl(nil).image()
		image[at] = to
		return image
	}
	wrapping := changed(64+23, 0xff)
	wrapping[64+39] = 0xff
	readOnly := ssl(nil)
	readOnly.readOnly = true
	nss := build{functions: map[string]string{"SSL_ImportFD": "c3"}}
	tests := map[string]struct {
		image []byte
		want  string
	}{
		"empty":            {nil, "it is not an ELF file"},
		"text":             {[]byte("#!/bin/sh\nexec true\n"), "it is not an ELF file"},
		"32-bit":           {changed(4, 1), "it is a 32-bit library: only 64-bit ones are hooked"},
		"big-endian":       {changed(5, 2), "it is a big-endian library: only little-endian ones are hooked"},
		"many segments":    {changed(57, 0xff), "its program headers are not those of a library"},
		"no dynamic":       {changed(64+56, 0), "it has no dynamic section: it is not a shared library"},
		"cut":              {ssl(nil).image()[:100], "its program headers cannot be read: EOF"},
		"wraps around":     {wrapping, "its program headers are damaged"},
		"not OpenSSL":      {ssl(map[string]string{"SSL_write": ""}).image(), "it exports no SSL_write: it is not OpenSSL's TLS library"},
		"NSS":              {nss.image(), "it is the TLS library of NSS: only OpenSSL's is hooked"},
		"not code":         {readOnly.image(), "its SSL_read is not code"},
		"a header only":    {ssl(nil).image()[:40], "its ELF header cannot be read: EOF"},
		"damaged hash":     {changed(buildHash+2, 0xff), "it exports no SSL_read: it is not OpenSSL's TLS library"},
		"damaged dynamic":  {changed(64+56+8+5, 0xff), "its dynamic section cannot be read: EOF"},
		"negative dynamic": {changed(64+56+8+7, 0x80), "its dynamic section cannot be read: unexpected EOF"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Inspect(bytes.NewReader(test.image))
			require.EqualError(t, err, test.want)
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"OpenSSL 1.1.1w  11 Sep 2023":                      "1.1.1w",
		"SSLv3 part of OpenSSL 1.0.2u  20 Dec 2019":        "1.0.2u",
		"OpenSSL 3.5.0-beta1 25 Mar 2025":                  "3.5.0-beta1",
		"OpenSSL 1.0.2zg-fips  7 Feb 2023":                 "1.0.2zg-fips",
		"OpenSSL version":                                  "3.0+",
		"OpenSSL 3.0.<script>alert(1)</script> 1 Jan 2026": "3.0+",
	} {
		image := ssl(nil).image()
		copy(image[buildSize-100:], text)
		require.Equal(t, want, Version(bytes.NewReader(image)), text)
		// Wherever the text lies, also across two of the pieces that are read.
		long := make([]byte, 3*scanStep)
		at := scanStep - 5
		copy(long[at:], "\x00"+text+"\x00")
		require.Equal(t, want == "3.0+", scan(bytes.NewReader(long)) == "", text)
	}
	old := ssl(nil)
	old.versions = []string{"OPENSSL_1_1_0d", "OPENSSL_1_1_1a", "OPENSSL_1_1_0", "mine"}
	require.Equal(t, "1.1.1+", Version(bytes.NewReader(old.image())))
	old.versions = nil
	require.Empty(t, Version(bytes.NewReader(old.image())))
}

// What an instruction is taken for decides what a probe costs.
func TestEmulated(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"\x55": true, "\x41\x56": true, "\x90": true, "\xe8\x00\x00\x00\x00": true, "\xeb\x00": true, "\xe9\x00\x00\x00\x00": true,
		"\x74\x00": true, "\x0f\x84\x00\x00\x00\x00": true,
		"\x48\x55": false, "\x66\x55": false, "\x66\x90": false, "\xf3\x90": false, "\x0f\x1f\x00": false, "\xff\x75\x00": false, "\x6a\x00": false,
		"\x48\x83\xec\x18": false, "\xf3\x0f\x1e\xfa": false, "\xc3": false, "\xff\xe0": false, "\xe8": false, "": false, "\x41": false,
	} {
		require.Equal(t, want, emulated([]byte(code)), "%x", code)
	}
}

// The input is what is changed in a good library, three bytes a change: whole libraries would be minimised for ever.
func FuzzInspect(f *testing.F) {
	sysv := ssl(map[string]string{"SSL_read_ex": "", "SSL_read": lea + "call:read_internal" + leaEnd})
	sysv.sysv = true
	bases := [][]byte{ssl(nil).image(), newer(nil).image(), sysv.image()}
	f.Add(byte(0), uint16(buildSize), []byte{})
	f.Add(byte(1), uint16(0x1000), []byte{0, 4, 1})
	f.Add(byte(2), uint16(buildSize), []byte{buildHash >> 8, buildHash & 0xff, 3, buildText >> 8, buildText&0xff + 1, 0xff})
	f.Fuzz(func(t *testing.T, base byte, size uint16, changes []byte) {
		data := bytes.Clone(bases[int(base)%len(bases)])
		data = data[:min(int(size), len(data))]
		for ; len(changes) >= 3; changes = changes[3:] {
			if at := int(binary.BigEndian.Uint16(changes)); at < len(data) {
				data[at] = changes[2]
			}
		}
		plan, err := Inspect(bytes.NewReader(data))
		if err != nil {
			return
		}
		// Whatever it holds: reads and writes are hooked, inside the file, inner functions at a place that is emulated.
		require.NotEmpty(t, plan.Site)
		for _, site := range plan.Sites {
			require.Less(t, site.Offset, uint64(len(data)))
			if site.Inner {
				require.True(t, emulated(data[site.Offset:]), "%+v", site)
			}
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	image := ssl(nil).image()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Inspect(bytes.NewReader(image)); err != nil {
			b.Fatal(err)
		}
	}
}
