import type { Installation } from "../gen/sidelight/console/v1/ui_pb";
import { useNow } from "../now";
import { Bytes } from "../parts/bytes";
import { Link } from "../parts/link";
import { Moment } from "../parts/moment";
import { State } from "../parts/state";
import { count, plural, size } from "../quantity";
import { href } from "../url";
import { Blind } from "./blind";
import { Counters } from "./counters";
import { Part } from "./part";
import { RevokeNode } from "./revoke";
import { isSilent } from "./silence";
import { sum } from "./totals";

export function Node(props: { of: Installation; token: string | undefined }) {
  const i = props.of;
  const now = useNow(5000);
  const coverage = i.parts.flatMap((p) => p.coverage);
  const agents = i.parts.filter((p) => p.part === "agent");
  return (
    <article className={i.revoked ? "node revoked" : "node"}>
      <header>
        <h2>
          <Bytes of={i.cluster} />
        </h2>
        <Condition of={i} now={now} />
        <span className="quiet">
          heard <Moment at={i.lastSeen} relative /> · registered <Moment at={i.registeredAt} />
          {props.token !== undefined && (
            <>
              {" "}
              with token <Bytes of={props.token} />
            </>
          )}
        </span>
        <span className="quiet seen">
          {plural(coverage.filter((c) => c.mirrored).length, "workload")} mirrored · {size(sum(agents, "bytes_seen"))} seen ·{" "}
          {count(sum(i.parts.filter((p) => p.part === "processor"), "hits"))} hits
        </span>
        {!i.revoked && <RevokeNode of={i} token={props.token} />}
      </header>
      {i.revoked && <p className="said">It was revoked: nothing that it says is taken any more. Below is what it said last.</p>}
      {i.parts.length === 0 ? (
        <p className="said">No part has reported. A part reports within ten seconds of its start; if none does, the log of cloudsync says why.</p>
      ) : (
        <table className="parts" aria-label="Parts">
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col">Runs on</th>
              <th scope="col">State</th>
              <th scope="col">Lost</th>
              <th scope="col">Policy</th>
              <th scope="col" className="version">
                Version
              </th>
              <th scope="col">Started</th>
              <th scope="col" className="time">
                Reported
              </th>
            </tr>
          </thead>
          <tbody>
            {i.parts.map((p) => (
              <Part key={p.part + "/" + p.instance} of={p} now={now} revoked={i.revoked} />
            ))}
          </tbody>
        </table>
      )}
      <div className="beneath">
        {i.parts.length > 0 && <Counters parts={i.parts} />}
        <Blind of={i} />
        <Link to={href(["coverage"], { node: i.cluster })}>What of it is watched, and what not</Link>
      </div>
    </article>
  );
}

function Condition(props: { of: Installation; now: number }) {
  const i = props.of;
  const unready = i.parts.filter((p) => !p.ready).length;
  const silent = i.parts.filter((p) => isSilent(p.reportedAt, props.now)).length;
  if (i.revoked) return <State tone="bad">revoked</State>;
  if (isSilent(i.lastSeen, props.now)) return <State tone="bad">silent</State>;
  if (i.parts.length === 0) return <State tone="warn">no part has reported</State>;
  if (silent > 0) return <State tone="bad">{plural(silent, "part is", "parts are")} silent</State>;
  if (unready > 0) return <State tone="warn">{plural(unready, "part")} not ready</State>;
  return <State tone="good">all parts ready</State>;
}
