import type { Coverage, TlsCoverage } from "../gen/sidelight/status/v1/status_pb";
import type { Workload } from "../gen/sidelight/traffic/v1/workload_pb";
import { Bytes } from "../parts/bytes";
import { State } from "../parts/state";
import { count, size } from "../quantity";
import { underWay } from "./standing";

export function Stacks(props: { list: TlsCoverage[] }) {
  if (props.list.length === 0) return <span className="quiet">none reported</span>;
  return props.list.map((t, i) => (
    <p key={i}>
      <Bytes of={t.stack || "unnamed"} /> <State tone={t.hooked ? "good" : "warn"}>{t.hooked ? "hooked" : "not hooked"}</State>
      {t.why && (
        <span className="quiet">
          {" "}
          <Bytes of={t.why} />
        </span>
      )}
      {!t.hooked && !t.why && <span className="quiet"> the agent does not say why</span>}
    </p>
  ));
}

// A workload that is not mirrored has no numbers: a nought would look as if somebody had counted.
export function Numbers(props: { of: Coverage }) {
  const c = props.of;
  const number = (n: bigint, write: (n: bigint) => string, counts = c.mirrored) => (n > 0n || counts ? write(n) : <span className="quiet">–</span>);
  const open = underWay(c);
  return (
    <>
      <td className="number">{number(c.bytesSeen, size)}</td>
      <td className="number">{number(c.bytesSkipped, size)}</td>
      <td className={c.bytesLost > 0n ? "number lost" : "number"}>{number(c.bytesLost, size)}</td>
      <td className="number">{number(c.exchanges, count)}</td>
      <td className="number">
        {number(c.exchangesAcknowledged, count)}
        {open > 0n && <span className="open">{count(open)} under way</span>}
      </td>
      <td className={c.exchangesLost > 0n ? "number lost" : "number"}>{number(c.exchangesLost, count)}</td>
    </>
  );
}

// Name has what a person calls it first, and then what tells it from others.
export function Name(props: { of: Workload | undefined }) {
  const w = props.of;
  const p = w?.process;
  const pod = [w?.namespace, w?.pod, w?.container].filter(Boolean).join(" / ");
  const process = p && [p.executable, p.pid ? `pid ${p.pid}` : "", p.unit].filter(Boolean).join(" · ");
  return (
    <>
      <Bytes of={w?.service || w?.pod || p?.executable || "unnamed"} />
      {[pod, process].filter(Boolean).map((text) => (
        <p key={text} className="quiet">
          <Bytes of={text ?? ""} />
        </p>
      ))}
    </>
  );
}
