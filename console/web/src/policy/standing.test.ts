import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";

import { InstallationSchema, PolicyStateSchema } from "../gen/sidelight/console/v1/ui_pb";
import { known, rank, standing } from "./standing";

const now = Date.UTC(2026, 10, 27, 12);
const heard = { reportedAt: timestampFromMs(now - 1000), revoked: false };
const state = (sequence: bigint, refusedBecause = "", part = "processor") => create(PolicyStateSchema, { installation: "i", cluster: "c", part, instance: "n", sequence, refusedBecause });

describe("standing", () => {
  it.each([
    ["in force", state(7n), 7n, heard, "in force: sequence 7", "good"],
    ["behind", state(6n), 7n, heard, "not taken yet, still sequence 6", "warn"],
    ["never took one", state(0n), 7n, heard, "not taken yet, still built-in defaults", "warn"],
    ["refused", state(6n, "no"), 7n, heard, "refused, still sequence 6", "bad"],
    ["ahead of the console", state(9n), 7n, heard, "in force: sequence 9, which this console does not have", "warn"],
    ["none published", state(0n), 0n, heard, "built-in defaults", "none"],
    ["a part that takes none", state(0n, "", "apidiscovery"), 7n, heard, "takes no policy", "none"],
    ["silent", state(7n), 7n, { ...heard, reportedAt: timestampFromMs(now - 40_000) }, "not known: silent, said last sequence 7", "bad"],
    ["revoked", state(7n), 7n, { ...heard, revoked: true }, "not known: revoked, said last sequence 7", "bad"],
    ["nobody knows it", state(7n), 7n, undefined, "not known: silent, said last sequence 7", "bad"],
  ])("%s", (_, of, newest, is, word, tone) => expect(standing(of, newest, is, now)).toMatchObject({ word, tone }));

  it("keeps the reason of one that fell silent", () => expect(standing(state(6n, "why"), 7n, undefined, now).because).toBe("why"));
  it("puts first what somebody has to look at", () => {
    const tones = (["good", "none", "bad", "warn"] as const).map((tone) => ({ word: "", tone }));
    expect(tones.sort((a, b) => rank(a) - rank(b)).map((s) => s.tone)).toEqual(["bad", "warn", "none", "good"]);
  });
});

it("known finds the very part", () => {
  const node = create(InstallationSchema, { id: "i", cluster: "c", parts: [{ part: "processor", instance: "m" }, { part: "processor", instance: "n", reportedAt: heard.reportedAt }] });
  expect(known(state(7n), [node])).toEqual(heard);
  expect(known(state(7n), [])).toBeUndefined();
  expect(known(state(7n, "", "agent"), [node])).toEqual({ reportedAt: undefined, revoked: false });
});
