import { describe, expect, it } from "vitest";

import { slices } from "./evidence";

const bytes = (text: string) => new TextEncoder().encode(text);
const words = (e: Parameters<typeof slices>[0]) => {
  const s = slices(e);
  return [s.before, s.match, s.after].map((b) => new TextDecoder().decode(b));
};

describe("slices", () => {
  it("marks from the start", () => expect(words({ text: bytes("/etc/passwd"), textOffset: 0n, offset: 1n, length: 10n })).toEqual(["/", "etc/passwd", ""]));
  it("takes the text's own offset off", () => expect(words({ text: bytes("q=' or 1=1--"), textOffset: 10n, offset: 12n, length: 5n })).toEqual(["q=", "' or ", "1=1--"]));
  it("counts bytes, not characters", () => expect(words({ text: bytes("ä日x"), textOffset: 0n, offset: 2n, length: 3n })).toEqual(["ä", "日", "x"]));
  it("says what was left out", () => {
    expect(slices({ text: bytes("abc"), textOffset: 7n, offset: 8n, length: 12n })).toMatchObject({ skipped: 7n, cut: 10n });
    expect(slices({ text: bytes("abc"), textOffset: 0n, offset: 0n, length: 3n })).toMatchObject({ skipped: 0n, cut: 0n });
  });
  it.each([
    [0n, 0n, 99n],
    [50n, 3n, 2n],
    [0n, 99n, 1n],
    [2n, 0n, 3n],
    [0n, 2n ** 63n, 2n ** 63n],
    [2n ** 64n - 1n, 0n, 2n ** 64n - 1n],
  ])("never leaves the text: from %i, match %i +%i", (textOffset, offset, length) => {
    expect(words({ text: bytes("abc"), textOffset, offset, length }).join("")).toBe("abc");
  });
});
