// What a part does with the policy, as far as is known.
import type { Timestamp } from "@bufbuild/protobuf/wkt";

import type { Installation, PolicyState } from "../gen/sidelight/console/v1/ui_pb";
import { isSilent } from "../nodes/silence";
import type { Tone } from "../words";

export type Known = { reportedAt?: Timestamp; revoked: boolean };

// known finds what else the console knows of the part of a state.
export function known(state: PolicyState, installations: Installation[]): Known | undefined {
  const node = installations.find((i) => i.id === state.installation || i.cluster === state.cluster);
  const part = node?.parts.find((p) => p.part === state.part && p.instance === state.instance);
  return node && { reportedAt: part?.reportedAt, revoked: node.revoked };
}

// These parts have nothing to obey.
const without = ["apidiscovery"];

export type Standing = { word: string; tone: Tone; because?: string };

export function standing(s: PolicyState, newest: bigint, of: Known | undefined, now: number): Standing {
  const held = s.sequence === 0n ? "built-in defaults" : `sequence ${s.sequence}`;
  if (of?.revoked) return { word: `not known: revoked, said last ${held}`, tone: "bad", because: s.refusedBecause };
  if (!of || isSilent(of.reportedAt, now)) return { word: `not known: silent, said last ${held}`, tone: "bad", because: s.refusedBecause };
  if (s.refusedBecause !== "") return { word: `refused, still ${held}`, tone: "bad", because: s.refusedBecause };
  if (without.includes(s.part) && s.sequence === 0n) return { word: "takes no policy", tone: "none" };
  if (s.sequence === newest) return newest === 0n ? { word: held, tone: "none" } : { word: `in force: ${held}`, tone: "good" };
  if (s.sequence > newest) return { word: `in force: ${held}, which this console does not have`, tone: "warn" };
  return { word: `not taken yet, still ${held}`, tone: "warn" };
}

// rank puts first what somebody has to look at.
export function rank(s: Standing): number {
  return ["bad", "warn", "none", "good"].indexOf(s.tone);
}
