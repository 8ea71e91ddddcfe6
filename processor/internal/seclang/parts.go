package seclang

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// operators that look at a value and at nothing else.
var operators = []string{
	"beginsWith", "contains", "detectSQLi", "detectXSS", "endsWith", "eq", "ge", "gt", "ipMatch", "le", "lt", "noMatch", "pm", "restpath", "rx",
	"streq", "strmatch", "unconditionalMatch", "validateByteRange", "validateNid", "validateUrlEncoding", "validateUtf8Encoding", "within",
}

// actions that say what a match is. Those that would block are the engine's words for "matched": nothing blocks here.
var actions = []string{
	"accuracy", "auditlog", "block", "capture", "chain", "deny", "drop", "id", "log", "logdata", "maturity", "msg", "multimatch", "noauditlog",
	"nolog", "pass", "phase", "rev", "setvar", "severity", "skip", "skipafter", "status", "t", "tag", "ver",
}

type action struct{ name, value string }

// quoted reads a text in double quotes at the start, as it stands, and gives the rest.
func quoted(s string) (text, rest string, err error) {
	if s == "" || s[0] != '"' {
		return "", "", errors.New("operator and actions stand in double quotes")
	}
	escapes := 0
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			escapes++
		case s[i] == '"' && escapes%2 == 0:
			return s[1:i], s[i+1:], nil
		default:
			escapes = 0
		}
	}
	return "", "", errors.New("a double quote is not closed")
}

// quotedWhole reads a text in double quotes with nothing behind it and no other quote in it.
func quotedWhole(s string) (string, error) {
	if len(s) < 3 || s[0] != '"' || s[len(s)-1] != '"' || strings.Contains(s[1:len(s)-1], `"`) {
		return "", errors.New("actions stand in one pair of double quotes, and at least an id is among them")
	}
	return s[1 : len(s)-1], nil
}

func checkOperator(s string) error {
	s = strings.TrimPrefix(s, "!")
	if s == "" || s[0] != '@' {
		return nil // A regular expression without its operator's name.
	}
	if strings.Contains(strings.ToLower(s), "%{env") {
		return errors.New("the environment of the process may not be read")
	}
	name, _, _ := strings.Cut(s[1:], " ")
	if !slices.Contains(operators, name) {
		return fmt.Errorf("operator @%s may not be used: want one of %s", clip(name), strings.Join(operators, ", "))
	}
	return nil
}

// checkVariables refuses the one variable that is not of the request.
func checkVariables(s string) error {
	for name := range strings.FieldsFuncSeq(strings.ToUpper(s), func(r rune) bool { return strings.ContainsRune("|&!:'", r) }) {
		if name == "ENV" {
			return errors.New("the environment of the process may not be read")
		}
	}
	return nil
}

func checkAction(name, value string) error {
	if !slices.Contains(actions, name) {
		return fmt.Errorf("action %q may not be used: want one of %s", clip(name), strings.Join(actions, ", "))
	}
	if name == "phase" && value != "1" && value != "2" && value != "request" {
		return errors.New("only requests are looked at: want phase 1 or 2")
	}
	return nil
}

// splitActions cuts at the commas that stand in no single quotes, as the engine does. Quotes must be closed.
func splitActions(s string) ([]action, error) {
	if strings.Contains(s, `\'`) {
		return nil, errors.New("a backslash stands before a single quote among the actions")
	}
	var out []action
	start, colon, inQuotes := 0, -1, false
	end := func(at int) {
		a := action{}
		if colon < 0 {
			a.name = s[start:at]
		} else {
			a.name, a.value = s[start:colon], strings.TrimSpace(s[colon+1:at])
		}
		a.name = strings.ToLower(strings.TrimSpace(a.name))
		if len(a.value) >= 2 && a.value[0] == '\'' && a.value[len(a.value)-1] == '\'' {
			a.value = a.value[1 : len(a.value)-1]
		}
		out = append(out, a)
	}
	for i := 0; i < len(s); i++ {
		switch {
		case i > 0 && s[i-1] == '\\':
		case s[i] == '\'' && i > 0:
			inQuotes = !inQuotes
		case inQuotes:
		case s[i] == ':' && colon < 0 && i > 0:
			colon = i
		case s[i] == ',' && i > 0:
			end(i)
			start, colon = i+1, -1
		}
	}
	if inQuotes {
		return nil, errors.New("a single quote among the actions is not closed")
	}
	end(len(s))
	return out, nil
}
