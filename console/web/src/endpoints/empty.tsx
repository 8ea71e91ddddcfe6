import { useQuery } from "@connectrpc/connect-query";

import { InstallationService } from "../gen/sidelight/console/v1/ui_pb";
import { counters, totals } from "../nodes/totals";
import { Link } from "../parts/link";
import { Notice } from "../parts/notice";
import { href } from "../url";

export function NoEndpoints(props: { filtered: boolean }) {
  const nodes = useQuery(InstallationService.method.listInstallations, {}, { refetchInterval: 3000 });
  if (props.filtered) {
    return (
      <Notice title="No endpoint matches">
        <p>
          <Link to={href(["apis"])}>Show all endpoints</Link>
        </p>
      </Notice>
    );
  }
  return (
    <Notice title="No endpoints yet">
      <p>An endpoint is shown after a few good answers to ordinary requests; attacks and failed requests make none.</p>
      {nodes.data && (
        <ul className="counters" aria-label="Live counters">
          {counters(totals(nodes.data.installations)).map(([name, value]) => (
            <li key={name}>
              <b>{value}</b> {name}
            </li>
          ))}
        </ul>
      )}
      <p>
        If these numbers stand still, look at <Link to={href(["nodes"])}>Nodes</Link>: it says what is mirrored and what is not ready.
      </p>
    </Notice>
  );
}
