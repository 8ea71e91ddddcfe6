import { timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";

import type { BlindIntervalRow } from "../gen/sidelight/console/v1/ui_pb";
import type { BlindInterval } from "../gen/sidelight/status/v1/status_pb";
import { duration } from "../quantity";

// lengthOf says how long nobody watched; while it lasts, up to now.
export function lengthOf(b: BlindInterval, now: number): string {
  if (!b.from) return "not known";
  const from = timestampMs(b.from);
  if (b.to) {
    // A length of some nanoseconds is one.
    const some = b.to.seconds > b.from.seconds || (b.to.seconds === b.from.seconds && b.to.nanos > b.from.nanos);
    return duration(some ? Math.max(timestampMs(b.to) - from, 1) : 0);
  }
  // The node's clock may be ahead of this one: it is blind all the same.
  return duration(Math.max(now - from, 1));
}

// newestFirst puts them in order; what is told twice, at the edge of two pages, stands once, as it was told last.
export function newestFirst(rows: BlindIntervalRow[]): { key: string; row: BlindIntervalRow }[] {
  const byKey = new Map<string, BlindIntervalRow>();
  rows.forEach((row, i) => byKey.set(JSON.stringify([row.installation, row.interval?.id || i]), row));
  const began = (row: BlindIntervalRow) => (row.interval?.from ? timestampDate(row.interval.from).getTime() : -Infinity);
  const list = [...byKey].map(([key, row]) => ({ key, row }));
  return list.sort((a, b) => (began(a.row) === began(b.row) ? 0 : began(b.row) - began(a.row)));
}
