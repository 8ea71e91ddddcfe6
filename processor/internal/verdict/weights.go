package verdict

const (
	none    = 0
	weak    = 1
	fair    = 2
	strong  = 3
	certain = 5
)

// grade is what one rule says when it matches: a type, the group whose heaviest member counts, and a weight.
type grade struct {
	kind   string
	group  string
	weight int
}

// graded gives the grade of a rule before its value is looked at. Rules that are not listed are evidence only: all of 911,
// 920 and 922; 921250 and 921421 (policy); 943110 and 943120 (a session id without Referer is what every API client sends).
func graded(rule uint32) grade {
	if g, ok := listed(rule); ok {
		return g
	}
	switch {
	case rule >= 941000 && rule < 942000:
		return grade{XSS, "", fair}
	case rule >= 942000 && rule < 943000:
		return grade{SQLi, "", fair}
	case rule >= 932000 && rule < 934000, rule >= 944000 && rule < 945000:
		return grade{RCE, "", fair}
	default:
		return grade{}
	}
}

// listed holds the rules whose weight, type or group is not that of their family. 931 (remote file inclusion) is ssrf: what
// is proven is that the server was asked to fetch a URL. 943100 writes cookies from script or markup, which is xss.
func listed(rule uint32) (grade, bool) {
	switch rule {
	case 913100:
		return grade{Scanner, "agent", certain}, true
	case 921110:
		return grade{Smuggling, "", strong}, true
	case 921120, 921130, 921160, 921190:
		return grade{CRLF, "break", strong}, true
	case 921140, 921150:
		return grade{CRLF, "break", fair}, true
	case 921200:
		return grade{LDAPi, "filter", strong}, true
	case 921240:
		return grade{SSRF, "proxy", strong}, true

	case 930100, 930110:
		return grade{PathTrav, "dots", fair}, true
	case 930120:
		return grade{PathTrav, "file", strong}, true
	case 930130, 930140:
		return grade{PathTrav, "file", strong}, true
	case 9500101:
		return grade{PathTrav, "file", certain}, true

	case 931100, 931120:
		return grade{SSRF, "url", weak}, true
	case 931110:
		return grade{SSRF, "parameter", fair}, true
	case 934110:
		return grade{SSRF, "internal", strong}, true
	case 934170, 934190:
		return grade{SSRF, "internal", weak}, true

	case 932170, 932171:
		return grade{RCE, "shellshock", certain}, true
	case 932230, 932235, 932250, 932260, 932340, 932370, 932380, 932120, 932125:
		return grade{RCE, "command", strong}, true
	case 932160:
		return grade{RCE, "shell", strong}, true
	case 932130:
		return grade{RCE, "expression", strong}, true
	case 932175, 932270, 932330:
		return grade{RCE, "shell", weak}, true
	case 933100, 933110, 933140, 933170:
		return grade{RCE, "", strong}, true
	case 933120, 933135, 933150, 933210:
		return grade{RCE, "php", weak}, true
	case 934100, 934150, 934160:
		return grade{RCE, "script", fair}, true
	case 934130:
		return grade{RCE, "prototype", strong}, true
	case 944110:
		return grade{RCE, "java", strong}, true
	case 944100, 944120, 944130:
		return grade{RCE, "java", fair}, true
	case 944150:
		return grade{RCE, "jndi", certain}, true

	case 941110, 943100:
		return grade{XSS, "", strong}, true
	case 941130, 941170:
		return grade{XSS, "attribute", fair}, true
	case 941180, 941310, 941350, 941390:
		return grade{XSS, "words", weak}, true

	case 942100:
		return grade{SQLi, "libinjection", strong}, true
	case 942160, 942170, 942280:
		return grade{SQLi, "delay", strong}, true
	case 942220, 942350:
		return grade{SQLi, "", weak}, true
	case 942290:
		return grade{NoSQLi, "operator", strong}, true

	case 9500201, 9500202, 9500203:
		return grade{SSTI, "template", strong}, true
	case 9500301:
		return grade{XXE, "entity", certain}, true
	case 9500302:
		return grade{XXE, "doctype", fair}, true
	case 9500401:
		return grade{SSI, "directive", strong}, true
	case 9500501:
		return grade{SSRF, "scheme", strong}, true
	case 9500601:
		return grade{SQLi, "comment", strong}, true
	case 9500602:
		return grade{SQLi, "condition", fair}, true
	}
	return grade{}, false
}
