import { useQuery } from "@connectrpc/connect-query";

import { InstallationService } from "../gen/sidelight/console/v1/ui_pb";
import { counters, totals } from "../nodes/totals";
import { Link } from "../parts/link";
import { Notice } from "../parts/notice";
import { count, plural, size } from "../quantity";
import { href } from "../url";

// NoAttacks says which of the reasons for an empty page it is: nothing matches, nobody reports, nothing is mirrored, no
// traffic came, or nothing was wrong with it. The counters are live, so a person sees whether anything moves.
export function NoAttacks(props: { filtered: boolean }) {
  const nodes = useQuery(InstallationService.method.listInstallations, {}, { refetchInterval: 3000 });
  if (props.filtered) {
    return (
      <Notice title="No attack matches">
        <p>
          Choose other types or a longer time, or <Link to={href(["attacks"])}>show all attacks</Link>.
        </p>
      </Notice>
    );
  }
  if (!nodes.data) return <Notice title="Nothing seen yet" />;
  const t = totals(nodes.data.installations);
  return (
    <Notice title={"Nothing seen yet: " + reason(t)}>
      <p>{advice(t)}</p>
      <ul className="counters" aria-label="Live counters">
        {counters(t).map(([name, value]) => (
          <li key={name}>
            <b>{value}</b> {name}
          </li>
        ))}
      </ul>
      <p>
        <Link to={href(["nodes"])}>Nodes</Link> says of every part whether it is ready, and of every workload why it is mirrored or not.
      </p>
    </Notice>
  );
}

type Totals = ReturnType<typeof totals>;

function reason(t: Totals): string {
  if (t.agents === 0) return "no agent has reported";
  if (t.mirrored === 0) return "nothing is mirrored";
  if (t.exchanges === 0n) return "no request has come";
  return "no attack among " + plural(t.exchanges, "request");
}

function advice(t: Totals) {
  if (t.agents === 0) return "An agent reports within ten seconds of its start. If none does, its log says why.";
  if (t.mirrored === 0) {
    return (
      <>
        {plural(t.agents, "agent reports", "agents report")}, and {t.agents === 1 ? "mirrors" : "mirror"} no workload: select some with <code>mirror.filters</code> in
        the configuration. Nothing is selected by default.
      </>
    );
  }
  return (
    <>
      {plural(t.mirrored, "workload is", "workloads are")} mirrored, {size(t.seen)} seen, {count(t.hits)} hits. To try it, send a harmless attack to a mirrored
      workload: <code>curl http://your-host/etc/passwd</code>
    </>
  );
}
