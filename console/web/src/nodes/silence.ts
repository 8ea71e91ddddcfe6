import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";

// A part reports every ten seconds; after three missed reports it counts as silent.
const silence = 30_000;

// isSilent: what was said of something before it fell silent says nothing of now.
export function isSilent(heard: Timestamp | undefined, now: number): boolean {
  return !heard || now - timestampDate(heard).getTime() > silence;
}
