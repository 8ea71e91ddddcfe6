import type { ReactNode } from "react";

import type { Tone } from "../words";

// State is a word with a dot whose colour repeats it. Good is only what is known to be so now.
export function State(props: { tone: Tone; children: ReactNode }) {
  return <span className={"state " + props.tone}>{props.children}</span>;
}
