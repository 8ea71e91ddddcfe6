package cases

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads a case file; file is the name that its cases carry. See the README for the language.
func Parse(file, text string) ([]Case, error) {
	p := parser{file: file}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("%s.txt:%d: %w", file, i+1, err)
		}
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("%s.txt: at the end: %w", file, err)
	}
	return p.out, nil
}

type state int

const (
	between state = iota
	request
	headers
	body
	expect
)

type parser struct {
	file          string
	out           []Case
	c             Case
	at            state
	lines         []string
	crlf, escaped bool
	silent        bool
}

func (p *parser) line(line string) error {
	switch {
	case strings.HasPrefix(line, "### "):
		if err := p.end(); err != nil {
			return err
		}
		p.c, p.at = Case{File: p.file, Name: strings.TrimSpace(line[4:])}, request
		p.lines, p.crlf, p.escaped, p.silent = nil, false, false, false
		return nil
	case strings.HasPrefix(line, "=> ") && p.at != between && p.at != request:
		p.at = expect
		return p.expectation(strings.Fields(line[3:]))
	}
	switch p.at {
	case between, expect:
		if s := strings.TrimSpace(line); s != "" && s[0] != '#' {
			return fmt.Errorf("%q outside a case: begin one with \"### name\"", line)
		}
	case request:
		return p.request(line)
	case headers:
		return p.header(line)
	case body:
		p.lines = append(p.lines, line)
	}
	return nil
}

func (p *parser) request(line string) error {
	switch line {
	case "@crlf":
		p.crlf = true
		return nil
	case "@escaped":
		p.escaped = true
		return nil
	}
	method, target, ok := strings.Cut(line, " ")
	if !ok || method == "" || target == "" || strings.Contains(target, " ") {
		return fmt.Errorf("%q is not \"METHOD TARGET\"", line)
	}
	target, err := p.text(target)
	p.c.Method, p.c.Target, p.at = method, target, headers
	return err
}

func (p *parser) header(line string) error {
	if line == "" {
		p.at = body
		return nil
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return fmt.Errorf("%q is not \"Name: value\"", line)
	}
	value, err := p.text(strings.TrimPrefix(value, " "))
	p.c.Headers = append(p.c.Headers, [2]string{name, value})
	return err
}

func (p *parser) expectation(words []string) error {
	switch {
	case len(words) == 1 && words[0] == "silent":
		p.silent = true
	case len(words) == 2:
		p.c.Expect = append(p.c.Expect, Expectation{words[0], words[1]})
		p.c.Attack = true
	default:
		return fmt.Errorf("%q is neither \"silent\" nor \"type point\"", strings.Join(words, " "))
	}
	return nil
}

// end closes the case that is open.
func (p *parser) end() error {
	if p.at == between {
		return nil
	}
	if p.at != expect || p.silent == p.c.Attack {
		return fmt.Errorf("case %q needs either \"=> silent\" or lines \"=> type point\"", p.c.Name)
	}
	text, sep := "", "\n"
	if p.crlf {
		sep = "\r\n"
	}
	if p.escaped {
		sep = ""
	}
	text, err := p.text(strings.Join(p.lines, sep))
	if err != nil {
		return err
	}
	if p.crlf && text != "" {
		text += sep
	}
	if text != "" {
		p.c.Body = []byte(text)
	}
	p.out = append(p.out, p.c)
	p.at = between
	return nil
}

// text decodes \r, \n, \t, \\ and \xNN where the case asks for it.
func (p *parser) text(s string) (string, error) {
	if !p.escaped || !strings.Contains(s, `\`) {
		return s, nil
	}
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		return "", fmt.Errorf("%q has an escape other than \\r \\n \\t \\\\ \\xNN: %w", s, err)
	}
	return out, nil
}
