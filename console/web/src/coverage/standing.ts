// What is to be said of a workload, or of a node: only what its agent said, and only while the agent still says it.
import type { Timestamp } from "@bufbuild/protobuf/wkt";

import type { CoverageRow, Installation } from "../gen/sidelight/console/v1/ui_pb";
import type { Coverage } from "../gen/sidelight/status/v1/status_pb";
import { isSilent } from "../nodes/silence";
import type { Tone } from "../words";

export type Standing = { word: string; tone: Tone };

export const words = {
  unknown: "not known",
  not: "not watched",
  nothing: "selected, nothing seen yet",
  lossy: "watched, with losses",
  partly: "watched in part",
  watched: "watched",
} as const;

export function standing(row: CoverageRow, now: number, revoked = false): Standing {
  const c = row.coverage;
  if (!c || revoked || isSilent(row.reportedAt, now)) return { word: words.unknown, tone: "bad" };
  if (!c.mirrored) return { word: words.not, tone: "none" };
  if (lost(c)) return { word: words.lossy, tone: "warn" };
  if (c.tls.some((t) => !t.hooked)) return { word: words.partly, tone: "warn" };
  if (c.bytesSeen === 0n && c.exchanges === 0n) return { word: words.nothing, tone: "none" };
  return { word: words.watched, tone: "good" };
}

export function lost(c: Coverage | undefined): boolean {
  return c !== undefined && (c.bytesLost > 0n || c.exchangesLost > 0n);
}

// underWay are exchanges of which nobody has said yet that they arrived, or that they were lost.
export function underWay(c: Coverage): bigint {
  const n = c.exchanges - c.exchangesAcknowledged - c.exchangesLost;
  return n > 0n ? n : 0n;
}

// arrange puts rows with losses first: the pages come so, but a row may have lost something between two of them. Rows of
// the same name are kept, each with a key of its own: one too many for a moment is better than one that is hidden.
export function arrange(rows: CoverageRow[]): { key: string; row: CoverageRow }[] {
  const seen = new Map<string, number>();
  const list = rows.map((row) => {
    const name = keyOf(row);
    const n = seen.get(name) ?? 0;
    seen.set(name, n + 1);
    return { key: `${n} ${name}`, row };
  });
  return list.sort((a, b) => Number(lost(b.row.coverage)) - Number(lost(a.row.coverage)));
}

function keyOf(row: CoverageRow): string {
  const w = row.coverage?.workload;
  const p = w?.process;
  return JSON.stringify([row.installation, row.cluster, row.node, w?.namespace, w?.pod, w?.podUid, w?.container, w?.containerId, w?.service, p?.unit, p?.executable, p?.pid]);
}

// A gap is a node, or an agent of one, of which no row tells.
export type Gap = { cluster: string; instance: string; word: string; tone: Tone; why: string; since?: Timestamp };

export function gaps(installations: Installation[], now: number): Gap[] {
  return installations.flatMap((i) => {
    const gap = (instance: string, word: string, tone: Tone, why: string, since?: Timestamp): Gap => ({ cluster: i.cluster, instance, word, tone, why, since });
    if (i.revoked) return [gap("", words.unknown, "bad", "It was revoked: nothing that it says is taken any more. Register it again, with its token made anew.", i.lastSeen)];
    const agents = i.parts.filter((p) => p.part === "agent");
    if (agents.length === 0) return [gap("", words.not, "bad", "No agent has reported here. One reports within ten seconds of its start; if none does, its log says why.", i.registeredAt)];
    return agents.flatMap((a) => {
      if (isSilent(a.reportedAt, now)) return [gap(a.instance, words.unknown, "bad", "Its agent is silent. If the host runs, the agent's log says why.", a.reportedAt)];
      if (!a.ready) return [gap(a.instance, "agent not ready", "warn", a.notReadyBecause || "Its agent does not say why.", undefined)];
      if (!a.coverage.some((c) => c.mirrored)) return [gap(a.instance, words.not, "none", "Its agent runs and watches nothing: select workloads with mirror.filters in its configuration.", undefined)];
      return [];
    });
  });
}

// tally counts the rows by what is said of them, the worst first.
export function tally(rows: CoverageRow[], now: number, revoked: (row: CoverageRow) => boolean): { standing: Standing; n: number }[] {
  const order: string[] = [words.unknown, words.lossy, words.partly, words.not, words.nothing, words.watched];
  const counts = new Map<string, { standing: Standing; n: number }>();
  for (const row of rows) {
    const s = standing(row, now, revoked(row));
    const entry = counts.get(s.word) ?? { standing: s, n: 0 };
    entry.n++;
    counts.set(s.word, entry);
  }
  return [...counts.values()].sort((a, b) => order.indexOf(a.standing.word) - order.indexOf(b.standing.word));
}
