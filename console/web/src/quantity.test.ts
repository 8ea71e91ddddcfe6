import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";

import { ago, count, duration, moment, plural, size } from "./quantity";

describe("numbers", () => {
  it("count groups digits", () => expect([count(0), count(1234567n)]).toEqual(["0", "1,234,567"]));
  it("plural", () => expect([plural(1n, "hit"), plural(0, "hit"), plural(2, "hit is", "hits are")]).toEqual(["1 hit", "0 hits", "2 hits are"]));
  it("size", () => expect([size(0n), size(1023n), size(1536n), size(500n * 1024n * 1024n)]).toEqual(["0 B", "1023 B", "1.5 KiB", "500 MiB"]));
});

describe("times", () => {
  const at = (text: string) => timestampFromDate(new Date(text));
  const now = new Date("2026-11-27T12:00:00").getTime();
  it("leaves out the day of today", () => expect(moment(at("2026-11-27T09:08:07"), now)).toBe("09:08:07"));
  it("names other days", () => expect(moment(at("2026-11-26T09:08:07"), now)).toBe("26 Nov 09:08:07"));
  it("names the year of other years", () => expect(moment(at("2025-01-02T09:08:07"), now)).toBe("02 Jan 2025 09:08:07"));
  it("ago", () => {
    expect(["2026-11-27T12:00:05", "2026-11-27T11:59:30", "2026-11-27T11:30:00", "2026-11-27T02:00:00", "2026-11-20T12:00:00"].map((t) => ago(at(t), now))).toEqual([
      "0 s ago", "30 s ago", "30 min ago", "10 h ago", "7 d ago",
    ]);
  });
});

it("duration never rounds something to nothing", () => {
  const of = (...ms: number[]) => ms.map(duration);
  expect(of(-5, 0, 1, 999, 1000, 59_999, 60_000, 61_000)).toEqual(["none", "none", "under 1 s", "under 1 s", "1 s", "59 s", "1 min", "1 min 1 s"]);
  expect(of(3_600_000, 3_660_000, 86_400_000, 90_000_000)).toEqual(["1 h", "1 h 1 min", "1 d", "1 d 1 h"]);
});
