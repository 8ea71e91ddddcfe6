// Names of the attack types. A code without a name is shown as it is.
const names: Record<string, string> = {
  sqli: "SQL injection",
  xss: "Cross-site scripting",
  rce: "Command or code execution",
  ptrav: "Path traversal",
  ssti: "Template injection",
  ssi: "Server-side include",
  nosqli: "NoSQL injection",
  ldapi: "LDAP injection",
  ssrf: "Server-side request forgery",
  xxe: "XML external entity",
  crlf: "Header injection",
  smuggling: "Request smuggling",
  scanner: "Scanner",
  mail_injection: "Mail injection",
  redir: "Open redirect",
  mass_assignment: "Mass assignment",
  data_bomb: "Data bomb",
  invalid_xml: "Invalid XML",
  overlimit_res: "Over the limits",
  brute: "Brute force",
  dirbust: "Forced browsing",
  bola: "Broken object authorisation",
  credential_stuffing: "Credential stuffing",
  multiple_payloads: "Many attack types from one source",
  weak_auth: "Weak authentication",
  vuln_component: "Vulnerable component",
  api_specification: "Against the specification",
  custom_rule: "Own rule",
};

// What the processor can find today, and so what the filter offers.
export const found = ["sqli", "xss", "rce", "ptrav", "ssti", "ssi", "nosqli", "ldapi", "ssrf", "xxe", "crlf", "smuggling", "scanner", "custom_rule"];

export function typeName(code: string): string {
  return Object.hasOwn(names, code) ? (names[code] ?? code) : code;
}
