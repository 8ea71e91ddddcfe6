import { useId } from "react";

import { runs } from "../bytes";
import { Bytes } from "../parts/bytes";

type Props = { label: string; hint?: string; rows: number; value: string; set: (value: string) => void; required?: boolean; placeholder?: string };

// Area is a text box. What is in it and cannot be seen there is told below: a person must not publish what another hid.
export function Area(props: Props) {
  const hint = useId();
  return (
    <div className="area">
      <label>
        {props.label}
        <textarea
          rows={props.rows}
          value={props.value}
          onChange={(e) => props.set(e.target.value)}
          required={props.required}
          placeholder={props.placeholder}
          spellCheck={false}
          autoComplete="off"
          aria-describedby={props.hint ? hint : undefined}
        />
      </label>
      {props.hint && (
        <p className="quiet" id={hint}>
          {props.hint}
        </p>
      )}
      <Unseen of={props.value} />
    </div>
  );
}

export function Unseen(props: { of: string }) {
  const lines = props.of.split("\n").filter((line) => runs(new TextEncoder().encode(line), true).some((run) => run.escaped));
  if (lines.length === 0) return null;
  return (
    <div className="unseens" role="status">
      <p className="loss">This holds characters that the box does not show:</p>
      {lines.slice(0, 5).map((line, i) => (
        <code key={i}>
          <Bytes of={line} lines />
        </code>
      ))}
      {lines.length > 5 && <p className="quiet">and more lines like these</p>}
    </div>
  );
}
