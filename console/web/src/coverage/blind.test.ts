import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";

import { BlindIntervalRowSchema } from "../gen/sidelight/console/v1/ui_pb";
import { BlindIntervalSchema } from "../gen/sidelight/status/v1/status_pb";
import { lengthOf, newestFirst } from "./blind";

const now = Date.UTC(2026, 10, 27, 12);
const at = (before: number) => timestampFromMs(now - before);
const second = 1000;

describe("lengthOf", () => {
  const length = (from?: number, to?: number) =>
    lengthOf(create(BlindIntervalSchema, { from: from === undefined ? undefined : at(from), to: to === undefined ? undefined : at(to) }), now);
  it.each([
    ["ended", 100 * second, 10 * second, "1 min 30 s"],
    ["no length", 5 * second, 5 * second, "none"],
    ["ends before it begins", 5 * second, 9 * second, "none"],
    ["short", 5200, 5000, "under 1 s"],
    ["hours", 7500 * second, 0, "2 h 5 min"],
    ["days", 90_000 * second, 0, "1 d 1 h"],
    ["still blind", 42 * second, undefined, "42 s"],
    ["still blind since a clock that is ahead", -5 * second, undefined, "under 1 s"],
    ["no beginning", undefined, 5 * second, "not known"],
  ])("%s", (_, from, to, want) => expect(length(from, to)).toBe(want));

  it("grows while it lasts", () => {
    const b = create(BlindIntervalSchema, { from: at(0) });
    expect([second, 61 * second].map((later) => lengthOf(b, now + later))).toEqual(["1 s", "1 min 1 s"]);
  });
  it("does not call nanoseconds nothing", () => {
    const b = create(BlindIntervalSchema, { from: { seconds: 5n, nanos: 1 }, to: { seconds: 5n, nanos: 2 } });
    expect(lengthOf(b, now)).toBe("under 1 s");
  });
});

describe("newestFirst", () => {
  const row = (id: string, before?: number, installation = "i") =>
    create(BlindIntervalRowSchema, { installation, interval: { id, from: before === undefined ? undefined : at(before), reason: id + before } });
  const ids = (rows: Parameters<typeof newestFirst>[0]) => newestFirst(rows).map(({ row: r }) => r.interval?.id);

  it("orders by the beginning; what has none comes last", () => expect(ids([row("a", 50), row("b"), row("c", 10), row("d", 90)])).toEqual(["c", "a", "d", "b"]));
  it("has one interval once, as it was told last", () => {
    const list = newestFirst([row("a", 50), row("b", 40), row("a", 30)]);
    expect(list.map(({ row: r }) => r.interval?.reason)).toEqual(["a30", "b40"]);
  });
  it("keeps those of other nodes, and those without an id", () => expect(ids([row("a", 1, "i"), row("a", 1, "j"), row("", 1), row("", 1)])).toHaveLength(4));
});
