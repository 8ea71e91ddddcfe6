import { useState } from "react";

import { count } from "../quantity";

// Changing is a number that glows for a moment when it changes, but not when the page is drawn the first time.
export function Changing(props: { value: bigint }) {
  const [first] = useState(props.value);
  return (
    <span key={String(props.value)} className={props.value === first ? undefined : "fresh"}>
      {count(props.value)}
    </span>
  );
}
