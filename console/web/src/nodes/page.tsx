import { useQuery } from "@connectrpc/connect-query";

import { ago, count } from "../format";
import { type Installation, InstallationService } from "../gen/sidelight/console/v1/ui_pb";
import type { PartStatus } from "../gen/sidelight/status/v1/status_pb";
import { Failure, Notice, Waiting } from "../parts/notice";

export function NodePage() {
  const list = useQuery(InstallationService.method.listInstallations, {}, { refetchInterval: 5000 });
  return (
    <section>
      <div className="bar">
        <h1>Nodes</h1>
        <span className="total">{list.data ? count(list.data.installations.length) : ""}</span>
      </div>
      {list.isPending && <Waiting />}
      {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.data?.installations.length === 0 && <Notice title="No installation is registered">It registers itself with a token when it starts.</Notice>}
      {list.data?.installations.map((i) => <Node key={i.id} installation={i} />)}
    </section>
  );
}

function Node(props: { installation: Installation }) {
  const now = Date.now();
  return (
    <article className="node">
      <h2>
        {props.installation.cluster} <span className="hint">last heard {ago(props.installation.lastSeen, now)}</span>
      </h2>
      <table>
        <thead>
          <tr>
            <th>Part</th>
            <th>On</th>
            <th>State</th>
            <th>Mirrors</th>
            <th>Lost</th>
            <th>Reported</th>
          </tr>
        </thead>
        <tbody>
          {props.installation.parts.map((p) => (
            <Part key={p.part + p.instance} part={p} now={now} />
          ))}
        </tbody>
      </table>
    </article>
  );
}

function Part(props: { part: PartStatus; now: number }) {
  const p = props.part;
  return (
    <tr>
      <td>{p.part}</td>
      <td>{p.instance}</td>
      <td>{p.ready ? <span className="ready">ready</span> : <span className="wrong">{p.notReadyBecause || "not ready"}</span>}</td>
      <td>{p.coverage.filter((c) => c.mirrored).map((c) => `${c.workload?.service} (${c.workload?.process?.pid})`).join(", ")}</td>
      <td>{p.losses.map((l) => `${l.place}: ${l.reason.replaceAll("_", " ")} ${count(l.count)}`).join(", ") || "nothing"}</td>
      <td className="time">{ago(p.reportedAt, props.now)}</td>
    </tr>
  );
}
