import { line } from "../bytes";
import type { Endpoint } from "../gen/sidelight/inventory/v1/endpoint_pb";
import { Bytes } from "../parts/bytes";
import { Changing } from "../parts/changing";
import { Link } from "../parts/link";
import { Method } from "../parts/method";
import { Moment } from "../parts/moment";
import { stepRows } from "../parts/rows";
import { count } from "../quantity";
import { href, type Query } from "../url";
import { Answers } from "./answers";
import { Auth, Classes } from "./labels";
import { Template } from "./template";

export function EndpointTable(props: { rows: Endpoint[]; selected?: string; query: Query }) {
  return (
    <table className="endpoints" onKeyDown={stepRows}>
      <thead>
        <tr>
          <th className="target">Endpoint</th>
          <th className="service">Service</th>
          <th className="number">Requests</th>
          <th className="answers">Answers</th>
          <th className="number params">Params</th>
          <th className="auth">Auth</th>
          <th className="classes">Sensitive</th>
          <th className="first">First seen</th>
          <th className="time">Last seen</th>
        </tr>
      </thead>
      <tbody>
        {props.rows.map((e) => (
          <Row key={e.cluster + "/" + e.id} endpoint={e} selected={e.id === props.selected} to={href(["apis", e.cluster, e.id], props.query)} />
        ))}
      </tbody>
    </table>
  );
}

function Row(props: { endpoint: Endpoint; selected: boolean; to: string }) {
  const e = props.endpoint;
  return (
    <tr className={props.selected ? "selected" : undefined}>
      <td className="target">
        <span className="where" title={line(`${e.method} ${e.host}${e.pathTemplate}`)}>
          <Method name={e.method} />
          <span className="address">
            <span className="host">
              <Bytes of={e.host} />
            </span>
            <Link to={props.to} className="row path" current={props.selected}>
              <Template text={e.pathTemplate} />
            </Link>
          </span>
        </span>
      </td>
      <td className="service">
        <Bytes of={e.service} />
      </td>
      <td className="number">
        <Changing value={e.requestCount} />
        <span className="label"> {e.requestCount === 1n ? "request" : "requests"}</span>
      </td>
      <td className="answers">
        <Answers counts={e.statusClasses} />
      </td>
      <td className="number params">{count(e.parameters.length)}</td>
      <td className="auth">
        <Auth schemes={e.authSchemes} />
      </td>
      <td className="classes">
        <Classes of={e.parameters.flatMap((p) => p.classes)} />
      </td>
      <td className="first">
        <Moment at={e.firstSeen} />
      </td>
      <td className="time">
        <Moment at={e.lastSeen} />
      </td>
    </tr>
  );
}
