import type { Outcome, Severity } from "../gen/sidelight/detection/v1/taxonomy_pb";
import { outcome, severity } from "../words";

// SeverityBadge says the word; the bars and the colour only repeat it.
export function SeverityBadge(props: { of: Severity }) {
  const s = severity(props.of);
  return (
    <span className={"severity " + s.word}>
      <svg viewBox="0 0 14 12" width="14" height="12" aria-hidden="true">
        {[1, 2, 3, 4].map((bar) => (
          <rect key={bar} className={bar < s.level ? "on" : undefined} x={(bar - 1) * 3.5} y={11 - bar * 2.5} width="2.5" height={bar * 2.5} rx="0.6" />
        ))}
      </svg>
      {s.word}
    </span>
  );
}

export function OutcomeWord(props: { of: Outcome }) {
  const o = outcome(props.of);
  return <span className={"outcome " + o.tone}>{o.word}</span>;
}

// Status is the status code that the server gave; 0 is no answer yet.
export function Status(props: { code: number }) {
  if (props.code === 0) return <span className="status none">no answer</span>;
  return <span className={`status s${Math.floor(props.code / 100)}`}>{props.code}</span>;
}
