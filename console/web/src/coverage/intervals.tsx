import { WorkloadName } from "../attacks/workload";
import type { BlindIntervalRow } from "../gen/sidelight/console/v1/ui_pb";
import { useNow } from "../now";
import { Bytes } from "../parts/bytes";
import { Moment } from "../parts/moment";
import { State } from "../parts/state";
import { word } from "../words";
import { lengthOf, newestFirst } from "./blind";

// Intervals lists the time in which nobody watched.
export function Intervals(props: { rows: BlindIntervalRow[]; within?: boolean; label: string }) {
  const now = useNow();
  return (
    <div className="wide" tabIndex={0} role="region" aria-label={props.label}>
      <table className="intervals">
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">What was not watched</th>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Length</th>
            <th scope="col">Reason</th>
          </tr>
        </thead>
        <tbody>
          {newestFirst(props.rows).map(({ key, row }) => (
            <Row key={key} of={row} within={props.within} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row(props: { of: BlindIntervalRow; within?: boolean; now: number }) {
  const b = props.of.interval;
  if (!b) return null;
  return (
    <tr className={b.to ? undefined : "lossy"}>
      <th scope="row">
        {!props.within && (
          <span className="host">
            <Bytes of={props.of.cluster} />
          </span>
        )}
        <Bytes of={b.node || "–"} />
      </th>
      <td>{b.workload ? <WorkloadName of={b.workload} /> : "everything on it"}</td>
      <td className="time">
        <Moment at={b.from} />
      </td>
      <td className="time">{b.to ? <Moment at={b.to} /> : <State tone="bad">still blind</State>}</td>
      <td className="length">{lengthOf(b, props.now)}</td>
      <td>
        <Bytes of={b.reason ? word(b.reason) : "not told"} />
      </td>
    </tr>
  );
}
