import { WorkloadName } from "../attacks/workload";
import type { BlindInterval, Coverage as Workload } from "../gen/sidelight/status/v1/status_pb";
import { Bytes } from "../parts/bytes";
import { Moment } from "../parts/moment";
import { plural, size } from "../quantity";
import { word } from "../words";

// Coverage says of each workload whether it is mirrored and why, and when nobody watched.
export function Coverage(props: { list: Workload[]; blind: BlindInterval[] }) {
  const mirrored = props.list.filter((c) => c.mirrored).length;
  const rows = [...props.list].sort((a, b) => Number(b.mirrored) - Number(a.mirrored));
  return (
    <details className="coverage">
      <summary>
        Coverage: {plural(mirrored, "workload")} mirrored, {props.list.length - mirrored} not
        {props.blind.length > 0 && `, ${plural(props.blind.length, "blind interval")}`}
      </summary>
      <ul>
        {rows.map((c, i) => (
          <li key={i}>
            <span className={c.mirrored ? "state good" : "state none"}>{c.mirrored ? "mirrored" : "not mirrored"}</span> <WorkloadName of={c.workload} />
            <span className="quiet">
              {" · "}
              <Bytes of={c.why} />
              {c.bytesSeen > 0n && ` · ${size(c.bytesSeen)} seen`}
              {c.bytesSkipped > 0n && ` · ${size(c.bytesSkipped)} skipped`}
            </span>
            {c.bytesLost > 0n && <span className="lost"> · {size(c.bytesLost)} lost</span>}
            {c.tls.map((t, n) => (
              <span key={n} className="quiet">
                {" · TLS "}
                <Bytes of={`${t.stack} ${t.hooked ? "hooked" : "not hooked: " + t.why}`} />
              </span>
            ))}
          </li>
        ))}
        {props.blind.map((b, i) => (
          <li key={"blind" + i}>
            <span className="state warn">blind</span> <Moment at={b.from} /> – <Moment at={b.to} />
            <span className="quiet">
              {" · "}
              <Bytes of={`${b.node} · ${word(b.reason)}`} />
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
