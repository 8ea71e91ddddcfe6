import { useQuery } from "@connectrpc/connect-query";

import { count, enumWord, time } from "../format";
import { EndpointService } from "../gen/sidelight/console/v1/ui_pb";
import type { EndpointParameter } from "../gen/sidelight/inventory/v1/endpoint_pb";
import { Location, ValueType } from "../gen/sidelight/inventory/v1/observation_pb";
import { Link } from "../parts/link";
import { Method } from "../parts/method";
import { Failure, Waiting } from "../parts/notice";
import { Template } from "./template";

export function EndpointDetail(props: { cluster: string; id: string; close: string }) {
  const got = useQuery(EndpointService.method.getEndpoint, { cluster: props.cluster, id: props.id });
  if (got.isPending) return <Waiting />;
  if (got.error) return <Failure error={got.error} again={() => void got.refetch()} />;
  const e = got.data.endpoint;
  if (!e) return null;
  return (
    <aside className="detail" aria-label="Endpoint">
      <div className="bar">
        <h2 className="target">
          <Method name={e.method} />{" "}
          <span className="path">
            <Template text={e.pathTemplate} />
          </span>
        </h2>
        <Link to={props.close} className="close">
          Close
        </Link>
      </div>
      <dl>
        <dt>Host</dt>
        <dd>{e.host}</dd>
        <dt>Service</dt>
        <dd>
          {e.service} in {e.cluster}
        </dd>
        <dt>Requests</dt>
        <dd>{count(e.requestCount)}</dd>
        <dt>Takes</dt>
        <dd>{e.requestContentTypes.join(", ") || "no body seen"}</dd>
        <dt>Gives</dt>
        <dd>{e.responseContentTypes.join(", ") || "–"}</dd>
        <dt>Seen</dt>
        <dd>
          {time(e.firstSeen)} – {time(e.lastSeen)}
        </dd>
      </dl>
      <h3>Parameters</h3>
      {e.parameters.length === 0 ? <p className="hint">None seen.</p> : <Parameters list={e.parameters} />}
    </aside>
  );
}

function Parameters(props: { list: EndpointParameter[] }) {
  const sorted = [...props.list].sort((a, b) => a.location - b.location || a.name.localeCompare(b.name));
  return (
    <table>
      <thead>
        <tr>
          <th>In</th>
          <th>Name</th>
          <th>Type</th>
          <th>Sensitive</th>
        </tr>
      </thead>
      <tbody>
        {sorted.map((p) => (
          <tr key={`${p.location} ${p.name}`}>
            <td>{enumWord(Location[p.location], "LOCATION_")}</td>
            <td>
              <code>{p.name}</code>
              {p.required && <span className="hint"> required</span>}
            </td>
            <td>{p.types.map((t) => enumWord(ValueType[t], "VALUE_TYPE_")).join(" or ")}</td>
            <td>
              {p.classes.map((c) => (
                <span key={c} className="sensitive">
                  {c.replaceAll("_", " ")}
                </span>
              ))}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
