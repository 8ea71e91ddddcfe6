import { line } from "../bytes";
import type { Attack, Target } from "../gen/sidelight/detection/v1/attack_pb";
import { OutcomeWord, SeverityBadge } from "../parts/badges";
import { Bytes } from "../parts/bytes";
import { Changing } from "../parts/changing";
import { Link } from "../parts/link";
import { Method } from "../parts/method";
import { Moment } from "../parts/moment";
import { stepRows } from "../parts/rows";
import { count } from "../quantity";
import { typeName } from "../types";
import { href, type Query } from "../url";

export function AttackTable(props: { rows: Attack[]; selected?: string; query: Query }) {
  return (
    <table className="attacks" onKeyDown={stepRows}>
      <thead>
        <tr>
          <th className="time">Last seen</th>
          <th>Severity</th>
          <th>Attack</th>
          <th className="target">Target</th>
          <th className="point">Point</th>
          <th className="clients">Clients</th>
          <th className="number">Hits</th>
          <th className="outcome">Outcome</th>
        </tr>
      </thead>
      <tbody>
        {props.rows.map((a) => (
          <Row key={a.cluster + "/" + a.id} attack={a} selected={a.id === props.selected} to={href(["attacks", a.cluster, a.id], props.query)} />
        ))}
      </tbody>
    </table>
  );
}

function Row(props: { attack: Attack; selected: boolean; to: string }) {
  const a = props.attack;
  const point = line(a.point);
  return (
    <tr className={props.selected ? "selected" : undefined}>
      <td className="time">
        <Moment at={a.lastSeen} />
      </td>
      <td className="level">
        <SeverityBadge of={a.severity} />
      </td>
      <td className="kind">
        <Link to={props.to} className="row" current={props.selected}>
          <Bytes of={typeName(a.type)} />
        </Link>
        <code className="quiet">
          <Bytes of={a.type} />
        </code>
      </td>
      <td className="target">{a.target && <TargetLine of={a.target} />}</td>
      <td className="point">
        <code title={point}>
          <Bytes of={a.point} />
        </code>
      </td>
      <td className="clients">
        <span title={a.clients.map(line).join("\n")}>
          <Bytes of={a.clients[0] ?? "–"} />
          {a.clientCount > 1n && <span className="quiet"> +{count(a.clientCount - 1n)}</span>}
        </span>
      </td>
      <td className="number">
        <Changing value={a.hitCount} />
        <span className="label"> {a.hitCount === 1n ? "hit" : "hits"}</span>
      </td>
      <td className="outcome">
        <OutcomeWord of={a.outcome} />
      </td>
    </tr>
  );
}

export function TargetLine(props: { of: Target }) {
  const t = props.of;
  return (
    <span className="where" title={line(`${t.method} ${t.host}${t.path}`)}>
      <Method name={t.method} />
      <span className="address">
        <span className="host">
          <Bytes of={t.host} />
        </span>
        <span className="path">
          <Bytes of={t.path} />
        </span>
      </span>
    </span>
  );
}
