import { count, outcome, severity, time, typeName } from "../format";
import type { Attack } from "../gen/sidelight/detection/v1/attack_pb";
import { Link } from "../parts/link";
import { Method } from "../parts/method";
import { href } from "../url";

export function AttackTable(props: { rows: Attack[]; selected?: string; query: Record<string, string | undefined> }) {
  return (
    <table>
      <thead>
        <tr>
          <th>Last seen</th>
          <th>Attack</th>
          <th>Severity</th>
          <th>Target</th>
          <th>At</th>
          <th>Clients</th>
          <th className="number">Hits</th>
          <th>Outcome</th>
        </tr>
      </thead>
      <tbody>
        {props.rows.map((a) => (
          <Row key={a.cluster + a.id} attack={a} selected={a.id === props.selected} to={href(["attacks", a.cluster, a.id], props.query)} />
        ))}
      </tbody>
    </table>
  );
}

function Row(props: { attack: Attack; selected: boolean; to: string }) {
  const a = props.attack;
  const s = severity(a.severity);
  return (
    <tr className={props.selected ? "selected" : undefined}>
      <td className="time">{time(a.lastSeen)}</td>
      <td>
        <Link to={props.to}>{typeName(a.type)}</Link> <code className="code">{a.type}</code>
      </td>
      <td>
        <span className={"severity " + s.level}>{s.word}</span>
      </td>
      <td className="target">
        <Method name={a.target?.method ?? ""} /> <span className="host">{a.target?.host}</span>
        <span className="path">{a.target?.path}</span>
      </td>
      <td>
        <code>{a.point}</code>
      </td>
      <td className="clients">
        {a.clients.slice(0, 2).join(", ")}
        {a.clientCount > 2n && ` +${a.clientCount - 2n}`}
      </td>
      <td className="number">{count(a.hitCount)}</td>
      <td>{outcome(a.outcome)}</td>
    </tr>
  );
}
