import { useQuery } from "@connectrpc/connect-query";

import { InstallationService } from "../gen/sidelight/console/v1/ui_pb";
import { Failure, Notice, Waiting } from "../parts/notice";
import { count } from "../quantity";
import { Node } from "./node";
import { NewToken } from "./token";
import { Tokens } from "./tokens";

export function NodePage() {
  const list = useQuery(InstallationService.method.listInstallations, {}, { refetchInterval: 5000 });
  const tokens = useQuery(InstallationService.method.listTokens, {});
  const nodes = list.data?.installations ?? [];
  return (
    <section className="list">
      <div className="bar">
        <h1>
          Nodes {list.data && <span className="total">{count(nodes.length)}</span>}
        </h1>
        <NewToken />
      </div>
      {list.isPending && <Waiting />}
      {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.data && nodes.length === 0 && (
        <Notice title="No node yet">
          <p>A node is one cluster or host that Sidelight runs on. Make a token here and give it to its configuration; it registers itself when it starts.</p>
        </Notice>
      )}
      {nodes.map((i) => (
        <Node key={i.id} of={i} token={tokens.data?.tokens.find((t) => t.id === i.tokenId)?.name} />
      ))}
      <Tokens />
    </section>
  );
}
