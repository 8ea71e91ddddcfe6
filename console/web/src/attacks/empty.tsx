import { useQuery } from "@connectrpc/connect-query";

import { count } from "../format";
import { InstallationService } from "../gen/sidelight/console/v1/ui_pb";
import { Notice } from "../parts/notice";

// NoAttacks says which of the reasons for an empty page it is: nothing matches, nothing is mirrored, or nothing was wrong.
export function NoAttacks(props: { filtered: boolean }) {
  const nodes = useQuery(InstallationService.method.listInstallations, {});
  if (props.filtered) return <Notice title="No attack matches">Choose another type, or a longer time.</Notice>;
  const parts = nodes.data?.installations.flatMap((i) => i.parts) ?? [];
  const agents = parts.filter((p) => p.part === "agent");
  const mirrored = agents.reduce((n, a) => n + a.coverage.filter((c) => c.mirrored).length, 0);
  const seen = agents.flatMap((a) => a.counters).filter((c) => c.name === "bytes_seen").reduce((n, c) => n + c.value, 0n);
  return (
    <Notice title="No attacks seen yet">
      {agents.length === 0 && <p>No agent has reported yet. It does within ten seconds of its start; if not, its log says why.</p>}
      {agents.length > 0 && mirrored === 0 && (
        <p>
          {count(agents.length)} agent reports, and mirrors nothing: select workloads with <code>mirror.filters</code> in its configuration.
        </p>
      )}
      {mirrored > 0 && (
        <p>
          {count(mirrored)} processes are mirrored, {count(seen)} bytes were seen. Try one: <code>curl http://your-host/etc/passwd</code>
        </p>
      )}
    </Notice>
  );
}
