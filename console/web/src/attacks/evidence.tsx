import { slices } from "../evidence";
import type { Evidence } from "../gen/sidelight/detection/v1/hit_pb";
import { Bytes } from "../parts/bytes";
import { count, plural } from "../quantity";

// Marked shows the matched bytes in place. What was left out around them is said in words, outside of the text, so that no
// dots of an attacker can pass for ours.
export function Marked(props: { point: string; evidence: Evidence }) {
  const e = props.evidence;
  const s = slices(e);
  return (
    <figure className="evidence">
      <figcaption>
        <code>
          <Bytes of={props.point} />
        </code>
        {e.decoding.map((step, i) => (
          <span key={i} className="step">
            <Bytes of={step} />
          </span>
        ))}
        <span className="range">{e.wholeValue ? "whole value" : e.length === 0n ? "no bytes" : `bytes ${count(e.offset)}–${count(e.offset + e.length - 1n)}`}</span>
      </figcaption>
      <pre>
        {s.skipped > 0n && <span className="left">{plural(s.skipped, "byte")} before</span>}
        <Bytes of={s.before} />
        {s.match.length > 0 && (
          <mark>
            <Bytes of={s.match} />
          </mark>
        )}
        <Bytes of={s.after} />
        {s.cut > 0n && <span className="left">{plural(s.cut, "more byte")} matched</span>}
      </pre>
      {e.decoding.length > 0 && <p className="quiet">The value is shown decoded, in the order above; the range is within the decoded value.</p>}
      {e.wholeValue && <p className="quiet">Which bytes matched could not be told exactly: the whole value is shown.</p>}
    </figure>
  );
}
