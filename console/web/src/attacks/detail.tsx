import { useQuery } from "@connectrpc/connect-query";

import { line } from "../bytes";
import { AttackService } from "../gen/sidelight/console/v1/ui_pb";
import type { Attack } from "../gen/sidelight/detection/v1/attack_pb";
import { OutcomeWord, SeverityBadge } from "../parts/badges";
import { Bytes } from "../parts/bytes";
import { Link } from "../parts/link";
import { Moment } from "../parts/moment";
import { Failure, Waiting } from "../parts/notice";
import { Panel } from "../parts/panel";
import { count, plural } from "../quantity";
import { typeName } from "../types";
import { href } from "../url";
import { capital, confidence } from "../words";
import { Sample } from "./sample";
import { TargetLine } from "./table";

export function AttackDetail(props: { cluster: string; id: string; close: string }) {
  const got = useQuery(AttackService.method.getAttack, { cluster: props.cluster, id: props.id });
  return (
    <Panel label="Attack" back="Attacks" close={props.close}>
      {got.isPending && <Waiting />}
      {got.error && <Failure error={got.error} again={() => void got.refetch()} />}
      {got.data?.attack && <Body attack={got.data.attack} />}
    </Panel>
  );
}

function Body(props: { attack: Attack }) {
  const a = props.attack;
  const missing = a.hitCount - BigInt(a.samples.length);
  return (
    <>
      <header>
        <p className="over">
          <SeverityBadge of={a.severity} />
          <code className="quiet">
            <Bytes of={a.type} />
          </code>
        </p>
        <h2>
          <Bytes of={typeName(a.type)} />
        </h2>
        {a.target && <TargetLine of={a.target} />}
      </header>
      <dl className="facts">
        <dt>Point</dt>
        <dd>
          <code>
            <Bytes of={a.point} />
          </code>
        </dd>
        <dt>Outcome</dt>
        <dd>
          <OutcomeWord of={a.outcome} />
        </dd>
        <dt>Confidence</dt>
        <dd>{capital(confidence(a.confidence))}</dd>
        <dt>Hits</dt>
        <dd>{count(a.hitCount)}</dd>
        <dt>First seen</dt>
        <dd>
          <Moment at={a.firstSeen} />
        </dd>
        <dt>Last seen</dt>
        <dd>
          <Moment at={a.lastSeen} /> <span className="quiet">(<Moment at={a.lastSeen} relative />)</span>
        </dd>
        <dt>Service</dt>
        <dd>
          <Bytes of={a.target?.service || "–"} /> <span className="quiet">on {line(a.cluster)}</span>
        </dd>
        {a.target?.endpointId && (
          <>
            <dt>Endpoint</dt>
            <dd>
              <Link to={href(["apis", a.cluster, a.target.endpointId])}>In the inventory</Link>
            </dd>
          </>
        )}
        <dt className="wide">Clients</dt>
        <dd className="wide">
          {a.clients.map((c) => (
            <code key={c} className="chip">
              <Bytes of={c} />
            </code>
          ))}
          {a.clientCount > BigInt(a.clients.length) && <span className="quiet">and {count(a.clientCount - BigInt(a.clients.length))} more</span>}
        </dd>
      </dl>
      <h3>
        Samples <span className="total">{count(a.samples.length)}</span>
      </h3>
      {a.samples.length === 0 && <p className="quiet">None kept yet. The first five equal hits of an hour are kept; they follow with the next upload.</p>}
      {a.samples.map((hit, i) => (
        <Sample key={i} hit={hit} open={i === 0} />
      ))}
      {a.samples.length > 0 && missing > 0n && <p className="quiet">{plural(missing, "further hit is", "further hits are")} counted, not kept: of equal ones the first five per hour are.</p>}
    </>
  );
}
