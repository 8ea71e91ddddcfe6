// Package verdict decides what the matches of a request mean: which attack types, at which points, how sure. The rules say
// that something matched; whether a person should hear of it is decided here and nowhere else.
//
// The policy. Each match has a weight: 1 weak (ordinary text matches it often), 2 fair, 3 strong, 5 certain. Rules that look
// at the same thing form a group, and only the heaviest of a group counts. The weights of the groups are added for each
// type and point; from 3 on it is a hit, so one weak or fair rule alone never is. Confidence is high from 5 on, medium if
// one rule was strong or the sum is 4, else low. Protocol enforcement (CRS 920) and other policy (911, 922) are matches only.
package verdict

import (
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

// Attack types, in the codes of DESIGN §8.
const (
	SQLi      = "sqli"
	XSS       = "xss"
	RCE       = "rce"
	PathTrav  = "ptrav"
	SSTI      = "ssti"
	SSI       = "ssi"
	NoSQLi    = "nosqli"
	LDAPi     = "ldapi"
	SSRF      = "ssrf"
	XXE       = "xxe"
	CRLF      = "crlf"
	Smuggling = "smuggling"
	Scanner   = "scanner"
	// Dirbust is forced browsing; it comes from the behaviour of a client, not from one request.
	Dirbust = "dirbust"
	// Custom is what a person's own rule finds if it names no other type.
	Custom = "custom_rule"
)

// kind is what every hit of a type has in common.
type kind struct {
	severity   detectionv1.Severity
	references []string
}

func kindOf(t string) kind {
	switch t {
	case SQLi:
		return kind{detectionv1.Severity_SEVERITY_HIGH, []string{"CWE-89", "API8:2023", "CAPEC-66"}}
	case XSS:
		return kind{detectionv1.Severity_SEVERITY_MEDIUM, []string{"CWE-79", "API8:2023", "CAPEC-63"}}
	case RCE:
		return kind{detectionv1.Severity_SEVERITY_CRITICAL, []string{"CWE-78", "CWE-94", "API8:2023", "CAPEC-88"}}
	case PathTrav:
		return kind{detectionv1.Severity_SEVERITY_HIGH, []string{"CWE-22", "API8:2023", "CAPEC-126"}}
	case SSTI:
		return kind{detectionv1.Severity_SEVERITY_CRITICAL, []string{"CWE-1336", "API8:2023", "CAPEC-242"}}
	case SSI:
		return kind{detectionv1.Severity_SEVERITY_HIGH, []string{"CWE-97", "API8:2023", "CAPEC-101"}}
	case NoSQLi:
		return kind{detectionv1.Severity_SEVERITY_HIGH, []string{"CWE-943", "API8:2023", "CAPEC-676"}}
	case LDAPi:
		return kind{detectionv1.Severity_SEVERITY_HIGH, []string{"CWE-90", "API8:2023", "CAPEC-136"}}
	case SSRF:
		return kind{detectionv1.Severity_SEVERITY_HIGH, []string{"CWE-918", "API7:2023", "CAPEC-664"}}
	case XXE:
		return kind{detectionv1.Severity_SEVERITY_HIGH, []string{"CWE-611", "API8:2023", "CAPEC-221"}}
	case CRLF:
		return kind{detectionv1.Severity_SEVERITY_MEDIUM, []string{"CWE-93", "API8:2023", "CAPEC-34"}}
	case Smuggling:
		return kind{detectionv1.Severity_SEVERITY_HIGH, []string{"CWE-444", "API8:2023", "CAPEC-33"}}
	case Scanner:
		return kind{detectionv1.Severity_SEVERITY_LOW, []string{"API8:2023", "CAPEC-310"}}
	case Dirbust:
		return kind{detectionv1.Severity_SEVERITY_MEDIUM, []string{"CWE-425", "API8:2023", "CAPEC-87"}}
	default:
		return kind{severity: detectionv1.Severity_SEVERITY_MEDIUM}
	}
}

// About gives what every hit of a type has in common.
func About(t string) (detectionv1.Severity, []string) {
	k := kindOf(t)
	return k.severity, k.references
}

// advisories gives the CVE that a rule was written for.
func advisories(rule uint32) []string {
	switch rule {
	case 932170, 932171:
		return []string{"CVE-2014-6271"}
	case 944110:
		return []string{"CVE-2017-9805"}
	case 944120:
		return []string{"CVE-2015-4852"}
	case 944150:
		return []string{"CVE-2021-44228"}
	default:
		return nil
	}
}
