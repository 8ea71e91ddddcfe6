import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";

import { Confidence, Outcome, Severity } from "./gen/sidelight/detection/v1/taxonomy_pb";

const names: Record<string, string> = {
  sqli: "SQL injection", xss: "Cross-site scripting", rce: "Command or code execution", ptrav: "Path traversal", ssti: "Template injection",
  ssi: "Server-side include", nosqli: "NoSQL injection", ldapi: "LDAP injection", mail_injection: "Mail injection", ssrf: "Request forgery",
  xxe: "XML external entity", crlf: "Header injection", redir: "Open redirect", scanner: "Scanner", mass_assignment: "Mass assignment",
  data_bomb: "Data bomb", invalid_xml: "Invalid XML", overlimit_res: "Over the limits", brute: "Brute force", dirbust: "Forced browsing",
  bola: "Broken object authorisation", credential_stuffing: "Credential stuffing", weak_auth: "Weak authentication", smuggling: "Request smuggling",
};

export const attackTypes = Object.keys(names);

export function typeName(code: string): string {
  return names[code] ?? code;
}

export function severity(s: Severity): { word: string; level: string } {
  const word = ["unknown", "info", "low", "medium", "high", "critical"][s] ?? "unknown";
  return { word, level: word };
}

export function confidence(c: Confidence): string {
  return ["unknown", "low", "medium", "high"][c] ?? "unknown";
}

export function outcome(o: Outcome): string {
  return ["not known yet", "reached the application", "rejected by the proxy", "application error", "no answer", "unknown"][o] ?? "unknown";
}

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function time(t: Timestamp | undefined): string {
  return t ? clock.format(timestampDate(t)) : "–";
}

export function ago(t: Timestamp | undefined, now: number): string {
  if (!t) return "–";
  const seconds = Math.max(0, Math.round((now - timestampDate(t).getTime()) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

const numbers = new Intl.NumberFormat();

export function count(n: bigint | number): string {
  return numbers.format(n);
}

export function enumWord(name: string | undefined, prefix: string): string {
  return (name ?? "").replace(prefix, "").toLowerCase().replaceAll("_", " ");
}
