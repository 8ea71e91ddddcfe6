import { describe, expect, it } from "vitest";

import { line, runs } from "./bytes";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (input: Uint8Array, lines = false) =>
  runs(input, lines)
    .map((run) => run.text)
    .join("");

describe("runs", () => {
  const hostile: [name: string, input: Uint8Array, want: string][] = [
    ["plain", bytes("GET /ä日本🙂"), "GET /ä日本🙂"],
    ["terminal escape", bytes("\x1b[31m\x9b"), "\\x1b[31m\\u{9b}"],
    ["bidi override", bytes("a\u202eb\u2066c"), "a\\u{202e}b\\u{2066}c"],
    ["zero width", bytes("a\u200bb\ufeffc\u2060"), "a\\u{200b}b\\u{feff}c\\u{2060}"],
    ["byte order mark first", bytes("\ufeffa"), "\\u{feff}a"],
    ["tag characters", bytes("a\u{e0041}"), "a\\u{e0041}"],
    ["variation selector", bytes("a\ufe0f\u{e0100}"), "a\\u{fe0f}\\u{e0100}"],
    ["letters drawn as nothing", bytes("\u3164\u115f\u2800\u00ad"), "\\u{3164}\\u{115f}\\u{2800}\\u{ad}"],
    ["blanks that look like a space", bytes("a\u00a0b\u2003c d"), "a\\u{a0}b\\u{2003}c d"],
    ["line separators", bytes("a\u2028b\u2029c\u0085d"), "a\\u{2028}b\\u{2029}c\\u{85}d"],
    ["NUL", bytes("a\0b"), "a\\x00b"],
    ["DEL", bytes("\x7f"), "\\x7f"],
    ["private use", bytes("\ue000"), "\\u{e000}"],
    ["no UTF-8", new Uint8Array([0x61, 0xff, 0xc3]), "a\\xff\\xc3"],
    ["cut off", new Uint8Array([0xe2, 0x80]), "\\xe2\\x80"],
    ["overlong", new Uint8Array([0xc0, 0xaf, 0xe0, 0x80, 0xaf, 0xf0, 0x80, 0x80, 0xaf]), "\\xc0\\xaf\\xe0\\x80\\xaf\\xf0\\x80\\x80\\xaf"],
    ["surrogate", new Uint8Array([0xed, 0xa0, 0x80]), "\\xed\\xa0\\x80"],
    ["above the last character", new Uint8Array([0xf4, 0x90, 0x80, 0x80]), "\\xf4\\x90\\x80\\x80"],
    ["markup stays text", bytes("<img src=x onerror=alert(1)>&amp;"), "<img src=x onerror=alert(1)>&amp;"],
    ["line ends", bytes("a\r\nb\tc"), "a\\r\\nb\\tc"],
    ["marks on marks", bytes("e\u0301\u0302\u0303\u0304"), "e\u0301\u0302\\u{303}\\u{304}"],
    ["a mark with nothing below", bytes("\u0301a"), "\\u{301}a"],
  ];
  it.each(hostile)("%s", (_, input, want) => expect(text(input)).toBe(want));

  it("keeps line ends where lines are wanted, and shows a CR all the same", () => expect(text(bytes("a\r\nb\tc\nd"), true)).toBe("a\\r\nb\tc\nd"));

  it("tells an escape from what somebody typed", () => {
    expect(runs(bytes("\\x1b\x1b"))).toEqual([
      { text: "\\x1b", escaped: false },
      { text: "\\x1b", escaped: true },
    ]);
  });

  it("agrees with the platform on what is UTF-8, and shows every byte", () => {
    let seed = 7;
    const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16;
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    for (let round = 0; round < 5000; round++) {
      const input = Uint8Array.from({ length: random() % 6 }, () => (random() % 2 ? 0x80 : 0xc0) | (random() % 64));
      const out = runs(input);
      const valid = (() => {
        try {
          strict.decode(input);
          return true;
        } catch {
          return false;
        }
      })();
      expect(out.some((run) => run.escaped && /\\x[89a-f]/.test(run.text))).toBe(!valid);
      expect(back(out)).toEqual([...input]);
    }
  });
});

// back turns runs into the bytes that they stand for.
function back(out: ReturnType<typeof runs>): number[] {
  return out.flatMap((run) => {
    if (!run.escaped) return [...bytes(run.text)];
    return [...run.text.matchAll(/\\x(..)|\\u\{(.*?)\}|\\([nrt])/g)].flatMap(([, byte, point]) =>
      point !== undefined ? [...bytes(String.fromCodePoint(parseInt(point, 16)))] : [parseInt(byte ?? "", 16)],
    );
  });
}

it("line has no line end", () => expect(line("a\nb\u202e")).toBe("a\\nb\\u{202e}"));
