import type { Installation } from "../gen/sidelight/console/v1/ui_pb";
import type { PartStatus } from "../gen/sidelight/status/v1/status_pb";
import { count, size } from "../quantity";

// totals adds up what all parts of all installations say of themselves.
export function totals(installations: Installation[]) {
  const parts = installations.flatMap((i) => i.parts);
  const agents = parts.filter((p) => p.part === "agent");
  const judges = parts.filter((p) => p.part === "processor");
  return {
    agents: agents.length,
    mirrored: agents.reduce((n, a) => n + a.coverage.filter((c) => c.mirrored).length, 0),
    connections: sum(agents, "connections"),
    seen: sum(agents, "bytes_seen"),
    exchanges: sum(judges, "exchanges"),
    hits: sum(judges, "hits"),
  };
}

export function counters(t: ReturnType<typeof totals>): [name: string, value: string][] {
  return [
    ["mirrored", count(t.mirrored)],
    ["seen", size(t.seen)],
    ["requests judged", count(t.exchanges)],
    ["hits", count(t.hits)],
  ];
}

export function sum(parts: PartStatus[], name: string): bigint {
  return parts.flatMap((p) => p.counters).reduce((n, c) => (c.name === name ? n + c.value : n), 0n);
}
