import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";

import { CoverageRowSchema, InstallationSchema } from "../gen/sidelight/console/v1/ui_pb";
import { CoverageSchema } from "../gen/sidelight/status/v1/status_pb";
import { WorkloadSchema } from "../gen/sidelight/traffic/v1/workload_pb";
import { arrange, gaps, standing, tally, underWay } from "./standing";

const now = Date.UTC(2026, 10, 27, 12);
const ago = (ms: number) => timestampFromMs(now - ms);
type Init = MessageInitShape<typeof CoverageSchema>;
const row = (name: string, coverage: Init, heard = 3000) =>
  create(CoverageRowSchema, {
    installation: "i1",
    cluster: "c",
    node: "n",
    coverage: Object.assign(create(CoverageSchema, coverage), { workload: create(WorkloadSchema, { service: name }) }),
    reportedAt: ago(heard),
  });

describe("standing", () => {
  const seen: Init = { mirrored: true, bytesSeen: 1n, exchanges: 1n };
  const cases: [name: string, of: Init, word: string, tone: string, heard?: number][] = [
    ["mirrored and seen", seen, "watched", "good"],
    ["not mirrored", {}, "not watched", "none"],
    ["nothing came yet", { mirrored: true }, "selected, nothing seen yet", "none"],
    ["lost bytes", { ...seen, bytesLost: 1n }, "watched, with losses", "warn"],
    ["lost exchanges", { ...seen, exchangesLost: 1n }, "watched, with losses", "warn"],
    ["a stack that is not hooked", { ...seen, tls: [{ stack: "OpenSSL", hooked: true }, { stack: "Go" }] }, "watched in part", "warn"],
    ["a silent agent", seen, "not known", "bad", 31_000],
    ["a silent agent that watched nothing", {}, "not known", "bad", 31_000],
  ];
  it.each(cases)("%s", (_, of, word, tone, heard) => expect(standing(row("a", of, heard), now)).toEqual({ word, tone }));

  it("is not known of a node that was revoked", () => expect(standing(row("a", seen), now, true).word).toBe("not known"));
  it("is not known without a time", () => expect(standing(create(CoverageRowSchema, { coverage: seen }), now).word).toBe("not known"));
  it("is good only when it is known now, seen and whole", () => {
    const good = cases.filter(([, of, , , heard]) => standing(row("a", of, heard), now).tone === "good");
    expect(good.map(([name]) => name)).toEqual(["mirrored and seen"]);
  });
});

describe("arrange", () => {
  it("puts losses first and keeps the order else", () => {
    const rows = [row("a", {}), row("b", { bytesLost: 1n }), row("c", { mirrored: true }), row("d", { exchangesLost: 9n })];
    expect(arrange(rows).map(({ row: r }) => r.coverage?.workload?.service)).toEqual(["b", "d", "a", "c"]);
  });
  it("hides none of equal names, and tells them apart", () => {
    const keys = arrange([row("a", {}), row("a", {}), row("a", {})]).map(({ key }) => key);
    expect(new Set(keys).size).toBe(3);
  });
});

it("tally has the worst first", () => {
  const rows = [row("a", { mirrored: true, bytesSeen: 1n }), row("b", {}), row("c", {}, 99_000), row("d", { mirrored: true, bytesSeen: 1n, bytesLost: 1n })];
  expect(tally(rows, now, () => false).map(({ standing: s, n }) => `${n} ${s.word}`)).toEqual(["1 not known", "1 watched, with losses", "1 not watched", "1 watched"]);
});

it("underWay is never less than nothing", () => {
  const of = (exchanges: bigint, exchangesAcknowledged: bigint, exchangesLost: bigint) => underWay(create(CoverageSchema, { exchanges, exchangesAcknowledged, exchangesLost }));
  expect([of(10n, 7n, 1n), of(10n, 10n, 0n), of(10n, 10n, 5n)]).toEqual([2n, 0n, 0n]);
});

describe("gaps", () => {
  const node = (rest: MessageInitShape<typeof InstallationSchema>) => create(InstallationSchema, { id: "i", cluster: "c", lastSeen: ago(1000), ...rest });
  const agent = { part: "agent", instance: "n", ready: true, reportedAt: ago(1000), coverage: [{ mirrored: true }] };
  const cases: [name: string, of: MessageInitShape<typeof InstallationSchema>, want: string[]][] = [
    ["an agent that watches", { parts: [agent] }, []],
    ["no part at all", {}, ["not watched"]],
    ["no agent among the parts", { parts: [{ ...agent, part: "processor" }] }, ["not watched"]],
    ["revoked", { revoked: true, parts: [agent] }, ["not known"]],
    ["silent", { parts: [{ ...agent, reportedAt: ago(31_000) }] }, ["not known"]],
    ["never reported", { parts: [{ ...agent, reportedAt: undefined }] }, ["not known"]],
    ["not ready", { parts: [{ ...agent, ready: false }] }, ["agent not ready"]],
    ["nothing selected", { parts: [{ ...agent, coverage: [{ mirrored: false }] }] }, ["not watched"]],
    ["one of two", { parts: [agent, { ...agent, instance: "m", coverage: [] }] }, ["not watched"]],
  ];
  it.each(cases)("%s", (_, of, want) => {
    const found = gaps([node(of)], now);
    expect(found.map((g) => g.word)).toEqual(want);
    expect(found.every((g) => g.why !== "" && g.tone !== "good")).toBe(true);
  });
});
