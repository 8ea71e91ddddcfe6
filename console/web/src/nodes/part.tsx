import type { PartStatus } from "../gen/sidelight/status/v1/status_pb";
import { Bytes } from "../parts/bytes";
import { Moment } from "../parts/moment";
import { State } from "../parts/state";
import { count } from "../quantity";
import { word } from "../words";
import { isSilent } from "./silence";

export function Part(props: { of: PartStatus; now: number; revoked?: boolean }) {
  const p = props.of;
  const losses = p.losses.filter((l) => l.count > 0n);
  return (
    <tr className={losses.length > 0 ? "lossy" : undefined}>
      <th scope="row" className="name">
        <Bytes of={p.part} />
      </th>
      <td className="on">
        <Bytes of={p.instance} />
      </td>
      <td className="condition">
        <Condition part={p} now={props.now} revoked={props.revoked} />
      </td>
      <td className="lost">
        {losses.length === 0 && <span className="quiet">none reported</span>}
        {losses.map((l) => (
          <span key={l.place + "/" + l.reason} className="loss">
            <b>{count(l.count)}</b> <Bytes of={`${word(l.reason)} (${word(l.place)})`} />
          </span>
        ))}
      </td>
      <td className="policy">
        {p.policySequence > 0n ? `sequence ${p.policySequence}` : <span className="quiet">built-in defaults</span>}
        {p.policyRefusedBecause !== "" && (
          <p>
            <State tone="bad">refused a newer one</State>{" "}
            <span className="reason">
              <Bytes of={p.policyRefusedBecause} lines />
            </span>
          </p>
        )}
      </td>
      <td className="version quiet">
        <Bytes of={p.version || "–"} />
      </td>
      <td className="started">
        <Moment at={p.startedAt} />
      </td>
      <td className="time">
        <Moment at={p.reportedAt} relative />
      </td>
    </tr>
  );
}

function Condition(props: { part: PartStatus; now: number; revoked?: boolean }) {
  const p = props.part;
  if (props.revoked) return <State tone="bad">not known</State>;
  // What a part said of itself before it fell silent says nothing of now.
  if (isSilent(p.reportedAt, props.now)) return <State tone="bad">silent</State>;
  if (p.ready) return <State tone="good">ready</State>;
  return (
    <>
      <State tone="warn">not ready</State>{" "}
      <span className="reason">
        <Bytes of={p.notReadyBecause || "it does not say why"} />
      </span>
    </>
  );
}
