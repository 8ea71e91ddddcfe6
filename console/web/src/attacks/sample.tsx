import type { Hit, RequestSummary } from "../gen/sidelight/detection/v1/hit_pb";
import { Client_Source } from "../gen/sidelight/traffic/v1/connection_pb";
import { OutcomeWord, Status } from "../parts/badges";
import { Bytes } from "../parts/bytes";
import { Method } from "../parts/method";
import { Moment } from "../parts/moment";
import { source } from "../words";
import { Marked } from "./evidence";
import { addressText, WorkloadName } from "./workload";

export function Sample(props: { hit: Hit; open: boolean }) {
  const hit = props.hit;
  const request = hit.request;
  return (
    <article className="sample">
      <header>
        <Moment at={hit.observedAt} />
        {request && (
          <span className="line">
            <Method name={request.method} />
            <code>
              <Bytes of={request.path} />
            </code>
          </span>
        )}
      </header>
      {hit.evidence && <Marked point={hit.point} evidence={hit.evidence} />}
      <dl>
        {request && (
          <>
            <dt>Answer</dt>
            <dd>
              <Status code={request.status} /> <OutcomeWord of={hit.outcome} />
            </dd>
            <Who request={request} />
          </>
        )}
        <dt>Rules</dt>
        <dd>{hit.rules.length === 0 ? "–" : hit.rules.map((rule) => <code key={rule} className="chip">{rule}</code>)}</dd>
        {hit.references.length > 0 && (
          <>
            <dt>References</dt>
            <dd>
              {hit.references.map((r) => (
                <code key={r} className="chip">
                  <Bytes of={r} />
                </code>
              ))}
            </dd>
          </>
        )}
        {hit.hops.length > 0 && (
          <>
            <dt>Also seen at</dt>
            <dd>
              {hit.hops.map((hop, i) => (
                <span key={i} className="hop">
                  <Bytes of={hop.service} /> <Status code={hop.status} />
                </span>
              ))}
            </dd>
          </>
        )}
      </dl>
      {request && request.maskedRequest.length > 0 && (
        <details open={props.open}>
          <summary>Request, masked</summary>
          <pre>
            <Bytes of={request.maskedRequest} lines />
          </pre>
        </details>
      )}
    </article>
  );
}

function Who(props: { request: RequestSummary }) {
  const r = props.request;
  // Where the client's address is the connection's own, saying it twice helps nobody.
  const peer = r.client?.source === Client_Source.PEER ? "" : addressText(r.peer);
  return (
    <>
      <dt>Client</dt>
      <dd>
        <code>
          <Bytes of={r.client?.address || "unknown"} />
        </code>{" "}
        <span className="quiet">{source(r.client?.source ?? 0)}</span>
        {peer && (
          <span className="quiet">
            {" "}
            · connected from <code>{peer}</code>
          </span>
        )}
      </dd>
      <dt>Workload</dt>
      <dd>
        <WorkloadName of={r.workload} />
      </dd>
      {r.userAgent && (
        <>
          <dt>User agent</dt>
          <dd>
            <Bytes of={r.userAgent} />
          </dd>
        </>
      )}
      {r.traceId && (
        <>
          <dt>Trace</dt>
          <dd>
            <code>
              <Bytes of={r.traceId} />
            </code>
          </dd>
        </>
      )}
    </>
  );
}
