import { count, enumWord, time } from "../format";
import type { Endpoint } from "../gen/sidelight/inventory/v1/endpoint_pb";
import { AuthScheme } from "../gen/sidelight/inventory/v1/observation_pb";
import { Link } from "../parts/link";
import { Method } from "../parts/method";
import { href } from "../url";
import { Template } from "./template";

export function EndpointTable(props: { rows: Endpoint[]; selected?: string }) {
  return (
    <table>
      <thead>
        <tr>
          <th>Endpoint</th>
          <th>Host</th>
          <th>Service</th>
          <th className="number">Requests</th>
          <th>Answers</th>
          <th className="number">Parameters</th>
          <th>Authentication</th>
          <th>Last seen</th>
        </tr>
      </thead>
      <tbody>
        {props.rows.map((e) => (
          <tr key={e.cluster + e.id} className={e.id === props.selected ? "selected" : undefined}>
            <td className="target">
              <Method name={e.method} />{" "}
              <Link to={href(["apis", e.cluster, e.id])} className="path">
                <Template text={e.pathTemplate} />
              </Link>
            </td>
            <td className="host">{e.host}</td>
            <td>{e.service}</td>
            <td className="number">{count(e.requestCount)}</td>
            <td>
              <Classes counts={e.statusClasses} />
            </td>
            <td className="number">{e.parameters.length}</td>
            <td>{e.authSchemes.map((s) => enumWord(AuthScheme[s], "AUTH_SCHEME_")).join(", ")}</td>
            <td className="time">{time(e.lastSeen)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

// Classes shows how many answers there were of each kind.
function Classes(props: { counts: bigint[] }) {
  return (
    <span className="classes">
      {props.counts.map((n, i) => (n > 0n ? <span key={i} className={`class c${i + 1}`}>{`${i + 1}xx ${count(n)}`}</span> : null))}
    </span>
  );
}
