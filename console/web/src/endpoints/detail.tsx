import { useQuery } from "@connectrpc/connect-query";

import { EndpointService } from "../gen/sidelight/console/v1/ui_pb";
import type { Endpoint } from "../gen/sidelight/inventory/v1/endpoint_pb";
import { Bytes } from "../parts/bytes";
import { Method } from "../parts/method";
import { Moment } from "../parts/moment";
import { Failure, Waiting } from "../parts/notice";
import { Panel } from "../parts/panel";
import { count } from "../quantity";
import { protocol, word } from "../words";
import { Answers } from "./answers";
import { Auth } from "./labels";
import { Parameters } from "./parameters";
import { Template } from "./template";

export function EndpointDetail(props: { cluster: string; id: string; close: string }) {
  const got = useQuery(EndpointService.method.getEndpoint, { cluster: props.cluster, id: props.id });
  return (
    <Panel label="Endpoint" back="APIs" close={props.close}>
      {got.isPending && <Waiting />}
      {got.error && <Failure error={got.error} again={() => void got.refetch()} />}
      {got.data?.endpoint && <Body endpoint={got.data.endpoint} />}
    </Panel>
  );
}

function Body(props: { endpoint: Endpoint }) {
  const e = props.endpoint;
  return (
    <>
      <header>
        <p className="over">
          <Method name={e.method} />
          <span className="host">
            <Bytes of={e.host} />
          </span>
        </p>
        <h2 className="path">
          <Template text={e.pathTemplate} />
        </h2>
      </header>
      <dl className="facts">
        <dt>Service</dt>
        <dd>
          <Bytes of={e.service || "–"} />{" "}
          <span className="quiet">
            on <Bytes of={e.cluster} />
          </span>
        </dd>
        <dt>Protocol</dt>
        <dd>{protocol(e.protocol)}</dd>
        <dt>Requests</dt>
        <dd>{count(e.requestCount)}</dd>
        <dt>Auth</dt>
        <dd>
          <Auth schemes={e.authSchemes} />
        </dd>
        <dt>First seen</dt>
        <dd>
          <Moment at={e.firstSeen} />
        </dd>
        <dt>Last seen</dt>
        <dd>
          <Moment at={e.lastSeen} />
        </dd>
        <dt>Takes</dt>
        <dd>{e.requestContentTypes.length ? <Bytes of={e.requestContentTypes.join(", ")} /> : <span className="quiet">no body seen</span>}</dd>
        <dt>Gives</dt>
        <dd>{e.responseContentTypes.length ? <Bytes of={e.responseContentTypes.join(", ")} /> : <span className="quiet">not said</span>}</dd>
        <dt className="wide">Answers</dt>
        <dd className="wide">
          <Answers counts={e.statusClasses} long />
        </dd>
        {e.risk && e.risk.score > 0 && (
          <>
            <dt className="wide">Risk</dt>
            <dd className="wide">
              {e.risk.score} of 10{" "}
              {e.risk.factors.map((f) => (
                <span key={f} className="chip">
                  <Bytes of={word(f)} />
                </span>
              ))}
            </dd>
          </>
        )}
      </dl>
      <h3>
        Parameters <span className="total">{count(e.parameters.length)}</span>
      </h3>
      <Parameters list={e.parameters} />
      <p className="quiet">Types and classes are kept, values never. Of responses, only status and headers are seen.</p>
    </>
  );
}
