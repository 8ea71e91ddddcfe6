import { create } from "@bufbuild/protobuf";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { EvidenceSchema } from "../gen/sidelight/detection/v1/hit_pb";
import { Marked } from "./evidence";

const bytes = (text: string) => new TextEncoder().encode(text);
const draw = (point: string, text: Uint8Array, rest: { offset?: bigint; length?: bigint; textOffset?: bigint; wholeValue?: boolean } = {}) =>
  renderToStaticMarkup(<Marked point={point} evidence={create(EvidenceSchema, { text, length: BigInt(text.length), ...rest })} />);

describe("Marked", () => {
  it.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</mark></pre><iframe src=javascript:alert(1)>",
    "\u202e<b>\u0000\x1b[2J",
  ])("draws %j as text, at the point too", (hostile) => {
    const html = draw(hostile, bytes(hostile));
    expect(html.match(/<(?!\/?(figure|figcaption|code|bdi|span|pre|mark|p)\b)/g)).toBeNull();
    expect(html).not.toMatch(/[\u202e\u0000\x1b]/);
  });

  it("marks the match and nothing else", () => {
    const html = draw("query.q", bytes("q=' or 1=1--"), { textOffset: 10n, offset: 12n, length: 5n });
    expect(html).toContain("<mark><bdi>&#x27; or </bdi></mark>");
    expect(html).toContain("10 bytes before");
    expect(html).toContain("bytes 12–16");
  });

  it("says what of the match is not shown", () => expect(draw("path", bytes("abc"), { length: 1003n })).toContain("1,000 more bytes matched"));
  it("does not pretend to know the range", () => expect(draw("path", bytes("abc"), { wholeValue: true })).toContain("whole value"));
});

it("nothing in the page turns text into markup", () => {
  const files = import.meta.glob<string>("../**/*.{ts,tsx}", { query: "?raw", import: "default", eager: true });
  const bad = Object.entries(files).filter(([name, text]) => !name.includes(".test.") && /dangerouslySetInnerHTML|innerHTML|insertAdjacentHTML|document\.write/.test(text));
  expect(bad.map(([name]) => name)).toEqual([]);
  expect(Object.keys(files).length).toBeGreaterThan(40);
});
