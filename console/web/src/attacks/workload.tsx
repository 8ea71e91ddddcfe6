import type { SocketAddress } from "../gen/sidelight/traffic/v1/connection_pb";
import type { Workload } from "../gen/sidelight/traffic/v1/workload_pb";
import { Bytes } from "../parts/bytes";

// WorkloadName says which container of which pod it was, or which process of which host.
export function WorkloadName(props: { of: Workload | undefined }) {
  const w = props.of;
  if (!w) return <>–</>;
  if (w.pod) {
    return (
      <>
        <Bytes of={[w.namespace, w.pod, w.container].filter(Boolean).join(" / ")} />
        <span className="quiet">
          {" "}
          on <Bytes of={w.node} />
        </span>
      </>
    );
  }
  const p = w.process;
  return (
    <>
      <Bytes of={w.service || p?.executable || "–"} />
      <span className="quiet">
        {w.node && (
          <>
            {" "}
            on <Bytes of={w.node} />
          </>
        )}
        {p && (
          <>
            {" · "}
            <Bytes of={p.executable} />, pid {p.pid}
            {p.unit && (
              <>
                {" · "}
                <Bytes of={p.unit} />
              </>
            )}
          </>
        )}
      </span>
    </>
  );
}

// addressText writes the address of a socket; IPv6 is written in full groups, shortened by the browser's own URL parser.
export function addressText(a: SocketAddress | undefined): string {
  if (a?.ip.length === 4) return `${a.ip.join(".")}:${a.port}`;
  if (a?.ip.length !== 16) return "";
  const groups = Array.from({ length: 8 }, (_, i) => (((a.ip[2 * i] ?? 0) << 8) | (a.ip[2 * i + 1] ?? 0)).toString(16));
  return `${new URL(`http://[${groups.join(":")}]/`).hostname}:${a.port}`;
}
