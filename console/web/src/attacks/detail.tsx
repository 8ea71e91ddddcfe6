import { useQuery } from "@connectrpc/connect-query";

import { confidence, count, outcome, severity, time, typeName } from "../format";
import { AttackService } from "../gen/sidelight/console/v1/ui_pb";
import { Link } from "../parts/link";
import { Method } from "../parts/method";
import { Failure, Waiting } from "../parts/notice";
import { Sample } from "./sample";

export function AttackDetail(props: { cluster: string; id: string; close: string }) {
  const got = useQuery(AttackService.method.getAttack, { cluster: props.cluster, id: props.id });
  if (got.isPending) return <Waiting />;
  if (got.error) return <Failure error={got.error} again={() => void got.refetch()} />;
  const a = got.data.attack;
  if (!a) return null;
  const s = severity(a.severity);
  return (
    <aside className="detail" aria-label="Attack">
      <div className="bar">
        <h2>{typeName(a.type)}</h2>
        <span className={"severity " + s.level}>{s.word}</span>
        <Link to={props.close} className="close">
          Close
        </Link>
      </div>
      <p className="target">
        <Method name={a.target?.method ?? ""} /> <span className="host">{a.target?.host}</span>
        <span className="path">{a.target?.path}</span>
      </p>
      <dl>
        <dt>Point</dt>
        <dd>
          <code>{a.point}</code>
        </dd>
        <dt>Service</dt>
        <dd>
          {a.target?.service} in {a.cluster}
        </dd>
        <dt>Outcome</dt>
        <dd>{outcome(a.outcome)}</dd>
        <dt>Confidence</dt>
        <dd>{confidence(a.confidence)}</dd>
        <dt>Hits</dt>
        <dd>
          {count(a.hitCount)} from {count(a.clientCount)} clients
        </dd>
        <dt>Seen</dt>
        <dd>
          {time(a.firstSeen)} – {time(a.lastSeen)}
        </dd>
      </dl>
      <h3>Samples</h3>
      {a.samples.map((hit, i) => (
        <Sample key={i} hit={hit} />
      ))}
    </aside>
  );
}
