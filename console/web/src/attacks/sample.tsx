import { line, pieces, show } from "../bytes";
import { enumWord, outcome, time } from "../format";
import type { Evidence, Hit } from "../gen/sidelight/detection/v1/hit_pb";
import { Client_Source } from "../gen/sidelight/traffic/v1/connection_pb";
import type { Workload } from "../gen/sidelight/traffic/v1/workload_pb";

export function Sample(props: { hit: Hit }) {
  const hit = props.hit;
  const request = hit.request;
  return (
    <article className="sample">
      {hit.evidence && <Marked evidence={hit.evidence} />}
      <dl>
        <dt>Time</dt>
        <dd>{time(hit.observedAt)}</dd>
        <dt>Client</dt>
        <dd>
          {request?.client?.address} <span className="hint">({enumWord(Client_Source[request?.client?.source ?? 0], "SOURCE_")})</span>
        </dd>
        <dt>Workload</dt>
        <dd>{workload(request?.workload)}</dd>
        <dt>Answer</dt>
        <dd>
          {request?.status ? request.status : "none yet"} <span className="hint">{outcome(hit.outcome)}</span>
        </dd>
        <dt>Rules</dt>
        <dd>{hit.rules.join(", ")}</dd>
        {hit.references.length > 0 && (
          <>
            <dt>References</dt>
            <dd>{hit.references.join(", ")}</dd>
          </>
        )}
      </dl>
      {request && request.maskedRequest.length > 0 && (
        <details>
          <summary>Request, masked</summary>
          <pre>{show(request.maskedRequest)}</pre>
        </details>
      )}
    </article>
  );
}

// Marked shows the matched bytes in place.
export function Marked(props: { evidence: Evidence }) {
  const e = props.evidence;
  const [before, match, after] = pieces(e.text, e.textOffset, e.offset, e.length);
  return (
    <p className="evidence">
      <code>
        {e.textOffset > 0n && "…"}
        {line(before)}
        <mark>{line(match)}</mark>
        {line(after)}
      </code>
      {e.decoding.length > 0 && <span className="hint"> after decoding: {e.decoding.join(" → ")}</span>}
      {e.wholeValue && <span className="hint"> the exact bytes could not be placed; this is the whole value</span>}
    </p>
  );
}

function workload(w: Workload | undefined): string {
  if (!w) return "–";
  if (w.pod) return [w.namespace, w.pod, w.container].filter(Boolean).join(" / ");
  const process = w.process ? ` (${w.process.executable}, pid ${w.process.pid})` : "";
  return `${w.service} on ${w.node}${process}`;
}
