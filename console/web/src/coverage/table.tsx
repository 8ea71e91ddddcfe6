import type { CoverageRow } from "../gen/sidelight/console/v1/ui_pb";
import type { Coverage } from "../gen/sidelight/status/v1/status_pb";
import { Bytes } from "../parts/bytes";
import { Moment } from "../parts/moment";
import { State } from "../parts/state";
import { Name, Numbers, Stacks } from "./cells";
import { arrange, lost, standing, words } from "./standing";

type Props = { rows: CoverageRow[]; now: number; revoked: (row: CoverageRow) => boolean };

export function CoverageTable(props: Props) {
  return (
    <div className="wide" tabIndex={0} role="region" aria-label="Workloads">
      <table className="workloads">
        <thead>
          <tr>
            <th scope="col" rowSpan={2} className="on">
              Node
            </th>
            <th scope="col" rowSpan={2} className="what">
              Workload
            </th>
            <th scope="col" rowSpan={2} className="watch">
              Watched
            </th>
            <th scope="col" rowSpan={2} className="stacks">
              TLS
            </th>
            <th scope="colgroup" colSpan={3} className="span">
              Bytes
            </th>
            <th scope="colgroup" colSpan={3} className="span">
              Exchanges
            </th>
          </tr>
          <tr>
            <th scope="col" className="number">
              seen
            </th>
            <th scope="col" className="number">
              skipped
            </th>
            <th scope="col" className="number">
              lost
            </th>
            <th scope="col" className="number">
              made
            </th>
            <th scope="col" className="number">
              acknowledged
            </th>
            <th scope="col" className="number">
              lost
            </th>
          </tr>
        </thead>
        <tbody>
          {arrange(props.rows).map(({ key, row }) => (
            <Row key={key} of={row} now={props.now} revoked={props.revoked(row)} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row(props: { of: CoverageRow; now: number; revoked: boolean }) {
  const row = props.of;
  const c = row.coverage;
  if (!c) return null;
  return (
    <tr className={lost(c) ? "lossy" : undefined}>
      <td className="on">
        <span className="host">
          <Bytes of={row.cluster} />
        </span>
        <Bytes of={row.node} />
      </td>
      <th scope="row" className="what">
        <Name of={c.workload} />
      </th>
      <td className="watch">
        <Watched row={row} coverage={c} now={props.now} revoked={props.revoked} />
      </td>
      <td className="stacks">
        <Stacks list={c.tls} />
      </td>
      <Numbers of={c} />
    </tr>
  );
}

function Watched(props: { row: CoverageRow; coverage: Coverage; now: number; revoked: boolean }) {
  const { word, tone } = standing(props.row, props.now, props.revoked);
  const c = props.coverage;
  return (
    <>
      <State tone={tone}>{word}</State>
      {word === words.unknown && (
        <p className="quiet">
          {props.revoked ? "the node was revoked" : "its agent is silent"}; <Moment at={props.row.reportedAt} relative /> it said: {c.mirrored ? "mirrored" : "not mirrored"}
        </p>
      )}
      <p className="quiet">
        <Bytes of={c.why || "the agent does not say why"} />
      </p>
    </>
  );
}
