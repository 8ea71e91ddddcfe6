import { create, equals, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";

import { PolicyContentSchema } from "../gen/sidelight/console/v1/ui_pb";
import { hostile } from "../hostile";
import { changed, contentOf, draftOf, newRule } from "./draft";
import { read, write } from "./literal";

const bytes = (text: string) => new TextEncoder().encode(text);
const content = (init: MessageInitShape<typeof PolicyContentSchema>) => create(PolicyContentSchema, init);
const full = content({
  masks: { points: ["header.X-Account", "query.pin*"] },
  trustedCidrs: { cidrs: ["10.0.0.0/8"] },
  budgets: { request: 65536n },
  rules: {
    rules: [
      {
        seclang: 'SecRule ARGS:q "@rx \\d" \\\n  "id:9000001"\r\n',
        cases: [
          { method: "POST", target: "/?q=1", headers: ["A: b", "C: d"], body: new Uint8Array([0x5c, 0x0d, 0x0a, 0xff, 0x00]), hit: true },
          { method: "GET", target: "/" },
        ],
      },
    ],
  },
});

describe("a draft", () => {
  it("that nobody touched is the policy that it was made of", () => {
    expect(equals(PolicyContentSchema, contentOf(draftOf(7n, full)), full)).toBe(true);
    expect(changed(draftOf(7n, full), 7n, full)).toBe(false);
  });
  it("of nothing is nothing, so that the built-in defaults hold", () => {
    const c = contentOf(draftOf(0n, undefined));
    expect([c.masks, c.trustedCidrs, c.budgets, c.rules]).toEqual([undefined, undefined, undefined, undefined]);
  });
  it("that is emptied falls back to the built-in defaults", () => {
    const c = contentOf({ ...draftOf(7n, full), masks: " \n\n", cidrs: "", request: "0", rules: [] });
    expect(equals(PolicyContentSchema, c, content({}))).toBe(true);
  });
  it("takes lines without blank ones and without blanks around", () => {
    const c = contentOf({ ...draftOf(0n, undefined), masks: "  query.a \r\n\n\tquery.b\n" });
    expect(c.masks?.points).toEqual(["query.a", "query.b"]);
  });
  it("loses no character that is not seen: the console has to judge it", () => {
    for (const h of hostile.filter((text) => !/[\r\n]/.test(text))) expect(contentOf({ ...draftOf(0n, undefined), masks: h }).masks?.points).toEqual([h]);
  });
  it("begins a rule with a case that must match and one that must not", () => expect(newRule().cases.map((c) => c.hit)).toEqual([true, false]));
  it("knows a change", () => {
    const d = draftOf(7n, full);
    expect([changed({ ...d, masks: d.masks + "\nquery.x" }, 7n, full), changed({ ...d, comment: "x" }, 7n, full), changed({ ...d, request: "?" }, 7n, full)]).toEqual([true, true, true]);
  });

  it.each(["64K", "-1", "1.5", "0x10", "9".repeat(30)])("takes no budget of %j", (request) =>
    expect(() => contentOf({ ...draftOf(0n, undefined), request })).toThrow("the request budget is a number of bytes"),
  );
  it("names the case whose body cannot be read", () => {
    const d = draftOf(7n, full);
    const [rule] = d.rules;
    const [first, second] = rule?.cases ?? [];
    if (!rule || !first || !second) throw new Error("no case");
    expect(() => contentOf({ ...d, rules: [{ ...rule, cases: [first, { ...second, body: '{"a":"\\q"}' }] }] })).toThrow("rule 1, case 2: the body: “\\q\"}” is no escape");
  });
});

describe("a literal", () => {
  it.each<[string, Uint8Array, string]>([
    ["text", bytes("a ä 日本\n\tb"), "a ä 日本\n\tb"],
    ["a backslash", bytes("\\n"), "\\\\n"],
    ["CRLF", bytes("a\r\nb"), "a\\r\nb"],
    ["no UTF-8", new Uint8Array([0x61, 0xff]), "a\\xff"],
    ["bidi", bytes("a\u202e"), "a\\u{202e}"],
  ])("writes %s", (_, input, want) => expect(write(input)).toBe(want));

  it("gives back every byte", () => {
    let seed = 11;
    const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16;
    for (let round = 0; round < 3000; round++) {
      const input = Uint8Array.from({ length: random() % 12 }, () => (random() % 3 ? random() % 256 : 0x5c));
      expect([...read(write(input))]).toEqual([...input]);
    }
    for (const h of hostile) expect([...read(write(bytes(h)))]).toEqual([...bytes(h)]);
  });

  it("reads what a person types", () => expect([...read("\\n\\t\\x41\\u{e9}\\\\")]).toEqual([...bytes("\n\tA\u00e9\\")]));
  it.each(["\\", "\\q", "\\x4", "\\u{}", "\\u{110000}", "\\u{d800}", "\\u0041"])("refuses %j", (text) => expect(() => read(text)).toThrow(/is no (escape|character)/));
});
