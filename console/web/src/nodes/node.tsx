import { timestampDate } from "@bufbuild/protobuf/wkt";

import type { Installation } from "../gen/sidelight/console/v1/ui_pb";
import { useNow } from "../now";
import { Bytes } from "../parts/bytes";
import { Moment } from "../parts/moment";
import { count, plural, size } from "../quantity";
import { Coverage } from "./coverage";
import { Part } from "./part";
import { silence, sum } from "./totals";

export function Node(props: { of: Installation }) {
  const i = props.of;
  const now = useNow(5000);
  const silent = !i.lastSeen || now - timestampDate(i.lastSeen).getTime() > silence;
  const unready = i.parts.filter((p) => !p.ready).length;
  const coverage = i.parts.flatMap((p) => p.coverage);
  const blind = i.parts.flatMap((p) => p.blindIntervals);
  const agents = i.parts.filter((p) => p.part === "agent");
  return (
    <article className="node">
      <header>
        <h2>
          <Bytes of={i.cluster} />
        </h2>
        <State silent={silent} unready={unready} />
        <span className="quiet">
          heard <Moment at={i.lastSeen} relative /> · registered <Moment at={i.registeredAt} />
        </span>
        <span className="quiet seen">
          {plural(coverage.filter((c) => c.mirrored).length, "workload")} mirrored · {size(sum(agents, "bytes_seen"))} seen ·{" "}
          {count(sum(i.parts.filter((p) => p.part === "processor"), "hits"))} hits
        </span>
      </header>
      <table className="parts">
        <thead>
          <tr>
            <th>Part</th>
            <th>Runs on</th>
            <th>State</th>
            <th>Lost</th>
            <th className="version">Version</th>
            <th className="time">Reported</th>
          </tr>
        </thead>
        <tbody>
          {i.parts.map((p) => (
            <Part key={p.part + "/" + p.instance} of={p} now={now} />
          ))}
        </tbody>
      </table>
      {(coverage.length > 0 || blind.length > 0) && <Coverage list={coverage} blind={blind} />}
    </article>
  );
}

function State(props: { silent: boolean; unready: number }) {
  if (props.silent) return <span className="state bad">silent</span>;
  if (props.unready > 0) return <span className="state warn">{plural(props.unready, "part")} not ready</span>;
  return <span className="state good">all parts ready</span>;
}
