import { timestampDate } from "@bufbuild/protobuf/wkt";

import type { PartStatus } from "../gen/sidelight/status/v1/status_pb";
import { Bytes } from "../parts/bytes";
import { Moment } from "../parts/moment";
import { count } from "../quantity";
import { word } from "../words";
import { silence } from "./totals";

export function Part(props: { of: PartStatus; now: number }) {
  const p = props.of;
  const losses = p.losses.filter((l) => l.count > 0n);
  return (
    <tr>
      <td className="name">
        <Bytes of={p.part} />
      </td>
      <td className="on">
        <Bytes of={p.instance} />
      </td>
      <td className="condition">
        <Condition part={p} now={props.now} />
      </td>
      <td className="lost">
        {losses.length === 0 && <span className="quiet">nothing</span>}
        {losses.map((l) => (
          <span key={l.place + "/" + l.reason} className="loss">
            <b>{count(l.count)}</b> <Bytes of={`${word(l.reason)} (${word(l.place)})`} />
          </span>
        ))}
      </td>
      <td className="version quiet">
        <Bytes of={p.version || "–"} />
      </td>
      <td className="time">
        <Moment at={p.reportedAt} relative />
      </td>
    </tr>
  );
}

function Condition(props: { part: PartStatus; now: number }) {
  const p = props.part;
  // What a part said of itself before it fell silent says nothing of now.
  if (!p.reportedAt || props.now - timestampDate(p.reportedAt).getTime() > silence) return <span className="state bad">silent</span>;
  if (p.ready) return <span className="state good">ready</span>;
  return (
    <>
      <span className="state warn">not ready</span>{" "}
      <span className="reason">
        <Bytes of={p.notReadyBecause} />
      </span>
    </>
  );
}
