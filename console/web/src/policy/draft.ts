// A draft is the policy as a person edits it: text in boxes, which need not be right yet.
import { create, equals } from "@bufbuild/protobuf";

import { type PolicyContent, PolicyContentSchema } from "../gen/sidelight/console/v1/ui_pb";
import { BudgetsSchema, MasksSchema, type Rule, type RuleCase, RuleCaseSchema, RuleSchema, RulesSchema, TrustedCidrsSchema } from "../gen/sidelight/policy/v1/policy_pb";
import { read, write } from "./literal";

export type Draft = {
  // The sequence that it was made from.
  from: bigint;
  masks: string;
  cidrs: string;
  request: string;
  response: string;
  rules: RuleDraft[];
  comment: string;
};
export type RuleDraft = { key: number; seclang: string; cases: CaseDraft[] };
export type CaseDraft = { key: number; method: string; target: string; headers: string; body: string; hit: boolean };

// Keys only tell boxes of one page apart.
let keys = 0;

export function draftOf(sequence: bigint, content: PolicyContent | undefined): Draft {
  const budget = (n: bigint | undefined) => (n ? String(n) : "");
  return {
    from: sequence,
    masks: (content?.masks?.points ?? []).join("\n"),
    cidrs: (content?.trustedCidrs?.cidrs ?? []).join("\n"),
    request: budget(content?.budgets?.request),
    response: budget(content?.budgets?.response),
    rules: (content?.rules?.rules ?? []).map(ruleOf),
    comment: "",
  };
}

function ruleOf(r: Rule): RuleDraft {
  return { key: keys++, seclang: r.seclang, cases: r.cases.map(caseOf) };
}

function caseOf(c: RuleCase): CaseDraft {
  return { key: keys++, method: c.method, target: c.target, headers: c.headers.join("\n"), body: write(c.body), hit: c.hit };
}

export function newCase(hit: boolean): CaseDraft {
  return { key: keys++, method: "GET", target: "/", headers: "", body: "", hit };
}

// newRule comes with the two cases that every rule needs.
export function newRule(): RuleDraft {
  return { key: keys++, seclang: "", cases: [newCase(true), newCase(false)] };
}

// contentOf gives what is to be published. What is empty is left out, which means the built-in default. It throws what a
// person can put right; all else the console checks.
export function contentOf(d: Draft): PolicyContent {
  const masks = lines(d.masks);
  const cidrs = lines(d.cidrs);
  const request = bytesOf(d.request, "request");
  const response = bytesOf(d.response, "response");
  return create(PolicyContentSchema, {
    masks: masks.length > 0 ? create(MasksSchema, { points: masks }) : undefined,
    trustedCidrs: cidrs.length > 0 ? create(TrustedCidrsSchema, { cidrs }) : undefined,
    budgets: request || response ? create(BudgetsSchema, { request, response }) : undefined,
    rules: d.rules.length > 0 ? create(RulesSchema, { rules: d.rules.map((r, i) => ruleFrom(r, i + 1)) }) : undefined,
  });
}

function ruleFrom(r: RuleDraft, n: number): Rule {
  return create(RuleSchema, { seclang: r.seclang, cases: r.cases.map((c, i) => caseFrom(c, `rule ${n}, case ${i + 1}`)) });
}

function caseFrom(c: CaseDraft, where: string): RuleCase {
  let body: Uint8Array;
  try {
    body = read(c.body);
  } catch (error) {
    throw new Error(`${where}: the body: ${error instanceof Error ? error.message : "cannot be read"}`);
  }
  return create(RuleCaseSchema, { method: c.method.trim(), target: c.target.trim(), headers: lines(c.headers), body, hit: c.hit });
}

// lines are trimmed of what is typed around them by accident, and of nothing that is not seen.
function lines(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((line) => line !== "");
}

const most = 1n << 63n;

function bytesOf(text: string, name: string): bigint {
  const digits = text.trim();
  if (digits === "") return 0n;
  if (!/^[0-9]+$/.test(digits) || BigInt(digits) >= most) throw new Error(`the ${name} budget is a number of bytes, such as 65536, or nothing for the agent's default`);
  return BigInt(digits);
}

// changed says whether there is anything to lose.
export function changed(d: Draft, sequence: bigint, content: PolicyContent | undefined): boolean {
  if (d.comment !== "") return true;
  try {
    return !equals(PolicyContentSchema, contentOf(d), contentOf(draftOf(sequence, content)));
  } catch {
    return true;
  }
}
