import { describe, expect, it } from "vitest";

import { line, pieces, show } from "./bytes";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("pieces", () => {
  it("cuts the match out of its context", () => {
    const [before, match, after] = pieces(bytes("q=' or 1=1--"), 10n, 12n, 5n).map((b) => new TextDecoder().decode(b));
    expect([before, match, after]).toEqual(["q=", "' or ", "1=1--"]);
  });
  it("never leaves the text, whatever the numbers say", () => {
    for (const [textOffset, offset, length] of [[0n, 0n, 99n], [50n, 3n, 2n], [0n, 99n, 1n], [0n, 2n ** 63n, 2n ** 63n]] as const) {
      const all = pieces(bytes("abc"), textOffset, offset, length);
      expect(all.reduce((n, p) => n + p.length, 0)).toBe(3);
    }
  });
});

describe("show", () => {
  const hostile: [string, Uint8Array, string][] = [
    ["plain", bytes("GET /ä日本"), "GET /ä日本"],
    ["terminal escape", bytes("\x1b[31m"), "\\x1b[31m"],
    ["bidi", bytes("a\u202eb"), "a\\xe2\\x80\\xaeb"],
    ["zero width", bytes("a\u200bb\ufeffc"), "a\\xe2\\x80\\x8bb\\xef\\xbb\\xbfc"],
    ["NUL", bytes("a\0b"), "a\\x00b"],
    ["no UTF-8", new Uint8Array([0x61, 0xff, 0xc3]), "a\\xff\\xc3"],
    ["overlong", new Uint8Array([0xc0, 0xaf]), "\\xc0\\xaf"],
    ["surrogate", new Uint8Array([0xed, 0xa0, 0x80]), "\\xed\\xa0\\x80"],
    ["markup stays text", bytes("<script>alert(1)</script>"), "<script>alert(1)</script>"],
    ["line ends", bytes("a\r\nb\rc\td"), "a\nb\\rc\\td"],
  ];
  it.each(hostile)("%s", (_, input, want) => expect(show(input)).toBe(want));
  it("has no line end in a line", () => expect(line(bytes("a\nb"))).toBe("a\\nb"));
});
