// Package config reads a service's YAML strictly: an unknown key or a wrong type is an error with its line and what is
// allowed there.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Error is one problem, with its place.
type Error struct {
	File string
	Line int
	Msg  string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// Load reads a file over the defaults that `into` holds.
func Load(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return &Error{File: path, Msg: fmt.Sprintf("cannot be read: %v", err)}
	}
	return Decode(path, data, into)
}

// Decode is Load for a text that is there already. All problems are joined.
func Decode(file string, data []byte, into any) error {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return located(file, err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return &Error{File: file, Msg: "holds more than one YAML document: keep the first"}
	}
	if err := errors.Join(expand(file, &document), unknownKeys(file, &document, into)); err != nil {
		return err
	}
	if err := document.Decode(into); err != nil {
		return located(file, err)
	}
	return nil
}

var (
	lineOf   = regexp.MustCompile(`(?:yaml: )?line (\d+): `)
	variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
	wanted   = regexp.MustCompile("cannot unmarshal (\\S+) (`.*` )?into (\\S+)")
)

// located turns the parser's errors into ours: one per problem, each with its line.
func located(file string, err error) error {
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		return located1(file, err.Error())
	}
	var all []error
	for _, text := range typed.Errors {
		all = append(all, located1(file, text))
	}
	return errors.Join(all...)
}

func located1(file, text string) error {
	e := &Error{File: file, Msg: strings.TrimPrefix(text, "yaml: ")}
	if m := lineOf.FindStringSubmatchIndex(text); m != nil {
		// The pattern has matched digits.
		e.Line, _ = strconv.Atoi(text[m[2]:m[3]])
		e.Msg = text[m[1]:]
	}
	if m := wanted.FindStringSubmatch(e.Msg); m != nil {
		e.Msg = fmt.Sprintf("got %s %swant %s", strings.TrimPrefix(m[1], "!!"), m[2], friendly(m[3]))
	}
	return e
}

func friendly(goType string) string {
	switch {
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "a number"
	case strings.HasPrefix(goType, "float"):
		return "a decimal number"
	case goType == "bool":
		return "true or false"
	case goType == "string", strings.HasSuffix(goType, ".Secret"):
		return "a text"
	case strings.HasPrefix(goType, "[]"), strings.HasSuffix(goType, "CIDRs"):
		return "a list"
	}
	return "a section with keys of its own"
}

// expand replaces ${NAME} in values by the environment's.
func expand(file string, node *yaml.Node) error {
	var all []error
	if node.Kind == yaml.ScalarNode && strings.Contains(node.Value, "${") {
		node.Value = variable.ReplaceAllStringFunc(node.Value, func(reference string) string {
			name := variable.FindStringSubmatch(reference)[1]
			value, set := os.LookupEnv(name)
			if !set {
				all = append(all, &Error{file, node.Line, fmt.Sprintf("environment variable %s is not set: set it or write the value", name)})
			}
			return value
		})
		// A plain scalar takes the type of what it became.
		if node.Style == 0 {
			node.Tag = ""
		}
	}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		all = append(all, expand(file, child))
	}
	return errors.Join(all...)
}
