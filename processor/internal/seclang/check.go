// Package seclang decides which SecLang a person may bring: rules that look at requests, and nothing that reads files, runs
// programs, asks the network or changes the engine. It reads a rule exactly as the engine does, and hands on what it read.
package seclang

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// longest text of one rule. The engine reads lines, and silently stops at one over 64 KiB.
	longest = 32 << 10
	// Ids that a person's rules may have, but for those of Sidelight's own.
	firstID, lastID       = 9_000_000, 9_999_999
	firstHouse, lastHouse = 9_500_000, 9_599_999
)

// Rules is a text that may be compiled.
type Rules struct {
	// Text has one directive on each line.
	Text string
	// IDs of its rules, ascending.
	IDs []uint32
}

// Check reads a text. An error says what may not be in it.
func Check(text string) (Rules, error) {
	if len(text) > longest {
		return Rules{}, fmt.Errorf("longer than %d bytes", longest)
	}
	lines, err := directives(text)
	if err != nil {
		return Rules{}, err
	}
	c := checker{}
	for _, line := range lines {
		if err := c.directive(line); err != nil {
			return Rules{}, err
		}
	}
	if c.chained {
		return Rules{}, errors.New("a chain has no end: the last rule of a chain has no \"chain\"")
	}
	if len(c.ids) == 0 {
		return Rules{}, errors.New("no rule in it: begin with SecRule")
	}
	slices.Sort(c.ids)
	return Rules{Text: strings.Join(lines, "\n") + "\n", IDs: c.ids}, nil
}

// directives joins the lines that a backslash continues.
func directives(text string) ([]string, error) {
	var out []string
	var b strings.Builder
	open := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.HasSuffix(line, "`") || line[0] == '`' {
			return nil, errors.New("a backtick at the start or end of a line is no part of a rule")
		}
		if strings.ContainsAny(line, "\r\v\f\x00\u0085\u2028\u2029") {
			return nil, errors.New("a control character is in it")
		}
		if part, more := strings.CutSuffix(line, `\`); more {
			b.WriteString(part)
			open = true
			continue
		}
		b.WriteString(line)
		joined := b.String()
		// The engine reads the joined text again as one line.
		if joined != strings.TrimSpace(joined) || joined[0] == '#' || strings.HasSuffix(joined, "`") || strings.HasSuffix(joined, `\`) || joined[0] == '`' {
			return nil, errors.New("a line and what continues it are no directive")
		}
		out = append(out, joined)
		b.Reset()
		open = false
	}
	if open {
		return nil, errors.New("the last line is continued and does not end")
	}
	return out, nil
}

type checker struct {
	ids     []uint32
	chained bool
}

func (c *checker) directive(line string) error {
	name, rest, _ := strings.Cut(line, " ")
	switch strings.ToLower(name) {
	case "secrule":
		return c.rule(rest)
	case "secaction":
		actions, err := quotedWhole(strings.TrimSpace(rest))
		if err != nil {
			return err
		}
		return c.actions(actions)
	case "secmarker":
		if c.chained {
			return errors.New("a marker stands within a chain")
		}
		return nil
	default:
		return fmt.Errorf("%q: only SecRule, SecAction and SecMarker may be in a policy", clip(name))
	}
}

func (c *checker) rule(rest string) error {
	variables, rest, ok := strings.Cut(strings.Trim(rest, " "), " ")
	if !ok || variables == "" || variables[0] == '"' {
		return errors.New("a SecRule is written: SecRule VARIABLES \"@operator argument\" \"actions\"")
	}
	if err := checkVariables(variables); err != nil {
		return err
	}
	operator, rest, err := quoted(strings.TrimLeft(rest, " "))
	if err != nil {
		return err
	}
	if err := checkOperator(strings.ReplaceAll(operator, `\"`, `"`)); err != nil {
		return err
	}
	actions, err := quotedWhole(strings.TrimLeft(rest, " "))
	if err != nil {
		return err
	}
	return c.actions(actions)
}

// actions reads a list of actions; each rule that is not the rest of a chain has an id.
func (c *checker) actions(list string) error {
	if strings.Contains(strings.ToLower(list), "%{env") {
		return errors.New("the environment of the process may not be read")
	}
	parsed, err := splitActions(list)
	if err != nil {
		return err
	}
	within, id := c.chained, ""
	c.chained = false
	for _, a := range parsed {
		if err := checkAction(a.name, a.value); err != nil {
			return err
		}
		switch a.name {
		case "id":
			if id != "" {
				return errors.New("a rule has two ids")
			}
			id = a.value
		case "chain":
			c.chained = true
		}
	}
	if within {
		if id != "" {
			return errors.New("only the first rule of a chain has an id")
		}
		return nil
	}
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil || n < firstID || n > lastID {
		return fmt.Errorf("id %q: want one from %d to %d", clip(id), firstID, lastID)
	}
	if n >= firstHouse && n <= lastHouse {
		return fmt.Errorf("id %d: those from %d to %d are Sidelight's own", n, firstHouse, lastHouse)
	}
	if slices.Contains(c.ids, uint32(n)) {
		return fmt.Errorf("id %d is there twice", n)
	}
	c.ids = append(c.ids, uint32(n))
	return nil
}

// clip keeps what an error quotes short.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 64)], "\uFFFD") }
