package seclang

import (
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/stretchr/testify/require"
)

func TestWhatIsTaken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		ids  []uint32
	}{
		"plain":             {`SecRule ARGS:pin "@rx ^\d{4}$" "id:9000001,phase:2,pass,log,msg:'a pin, and more',severity:'ERROR',tag:'attack-sqli'"`, []uint32{9000001}},
		"without operator":  {`SecRule REQUEST_URI "\.\./" "id:9000002,deny"`, []uint32{9000002}},
		"continued":         {"# comment\nSecRule ARGS \\\n  \"@contains exec(\" \\\n  \"id:9000003,\\\n  phase:2\"", []uint32{9000003}},
		"chain":             {"SecRule REQUEST_METHOD \"@streq POST\" \"id:9000004,chain\"\nSecRule &ARGS \"@gt 5\" \"t:none\"", []uint32{9000004}},
		"action and marker": {"SecAction \"id:9999999,nolog,setvar:tx.a=1\"\nSecMarker END", []uint32{9999999}},
		"negation":          {`SecRule ARGS|!ARGS:a "!@within a b" "id:9000005"`, []uint32{9000005}},
		"a quote":           {`SecRule ARGS "@rx \"x\"" "id:9000006"`, []uint32{9000006}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Check(tc.text)
			require.NoError(t, err)
			require.Equal(t, tc.ids, r.IDs)
			_, err = coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(r.Text))
			require.NoError(t, err, "the engine reads the same")
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	rule := func(operator, actions string) string {
		return `SecRule ARGS "` + operator + `" "id:9000001` + actions + `"`
	}
	for text, want := range map[string]string{
		"":                                               "no rule",
		"Include /etc/passwd":                            "only SecRule",
		"SecRuleEngine Off":                              "only SecRule",
		"SecAuditEngine On":                              "only SecRule",
		"SecAuditLog /tmp/x":                             "only SecRule",
		"SecRuleRemoveById 942100":                       "only SecRule",
		"SecRuleScript /a.lua":                           "only SecRule",
		"SecRule\tARGS \"@rx x\" \"id:9000001\"":         "only SecRule",
		rule("@inspectFile /bin/sh", ""):                 "operator @inspectFile",
		rule("!@inspectFile /bin/sh", ""):                "operator @inspectFile",
		rule("@rbl a.example", ""):                       "operator @rbl",
		rule("@pmFromFile a", ""):                        "operator @pmFromFile",
		rule("@pmf a", ""):                               "operator @pmf",
		rule("@ipMatchFromFile a", ""):                   "operator @ipMatchFromFile",
		rule("@ipMatchF a", ""):                          "operator @ipMatchF",
		rule("@validateSchema a", ""):                    "operator @validateSchema",
		rule("@geoLookup", ""):                           "operator @geoLookup",
		rule("@rx x", ",exec:/bin/sh"):                   `action "exec"`,
		rule("@rx x", ", EXEC : /bin/sh"):                `action "exec"`,
		rule("@rx x", ",setenv:A=b"):                     `action "setenv"`,
		rule("@rx x", ",msg:'a',setenv:'A=b'"):           `action "setenv"`,
		rule("@rx x", `,msg:'a\\',setenv:A=b,msg:'`):     "action",
		rule("@rx x", ",ctl:ruleEngine=Off"):             `action "ctl"`,
		rule("@rx x", ",allow"):                          `action "allow"`,
		rule("@rx x", ",redirect:'http://a'"):            `action "redirect"`,
		rule("@rx x", ",phase:3"):                        "phase 1 or 2",
		rule("@rx x", ",logdata:'%{ENV.HOME}'"):          "environment",
		rule("@streq %{env.home}", ""):                   "environment",
		`SecRule ENV:HOME "@rx x" "id:9000001"`:          "environment",
		`SecRule ARGS|!ARGS:a|&env "@rx x" "id:9000001"`: "environment",
		`SecRule ARGS "@rx x" "id:100"`:                  "want one from",
		`SecRule ARGS "@rx x" "id:9500101"`:              "Sidelight's own",
		`SecRule ARGS "@rx x"`:                           "at least an id",
		`SecRule ARGS "@rx x" "phase:2"`:                 "want one from",
		`SecRule ARGS "@rx x" "id:9000001" "exec:a"`:     "one pair",
		`SecRule "ARGS" "@rx x" "id:9000001"`:            "is written",
		`SecRule ARGS "@rx x" "id:9000001,chain"`:        "no end",
		"SecAction ''id:9000001''":                       "double quotes",
		rule("@rx x", "") + "\n" + rule("@rx x", ""):     "twice",
		rule("@rx x", "") + " \\":                        "does not end",
		"`\n" + rule("@rx x", ""):                        "backtick",
		rule("@rx x", ",msg:'a"):                         "not closed",
		strings.Repeat("#", longest+1):                   "longer than",
	} {
		_, err := Check(text)
		require.ErrorContains(t, err, want, text)
	}
}

// What is taken is read by the engine without a word that is not on the lists.
func FuzzCheck(f *testing.F) {
	f.Add(`SecRule ARGS:pin "@rx ^\d{4}$" "id:9000001,phase:2,pass,log,msg:'a pin, and more'"`)
	f.Add("SecAction \"id:9999999,nolog,setvar:tx.a=1\"\nSecMarker END")
	f.Add(`SecRule ARGS "@rx x" "id:9000001,msg:'a\\',exec:/bin/sh,msg:'"`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Check(text)
		if err != nil {
			return
		}
		again, err := Check(r.Text)
		require.NoError(t, err, r.Text)
		require.Equal(t, r, again)
	})
}
