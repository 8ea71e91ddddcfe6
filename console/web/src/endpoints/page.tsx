import { useInfiniteQuery } from "@connectrpc/connect-query";

import { count } from "../format";
import { EndpointService } from "../gen/sidelight/console/v1/ui_pb";
import { Failure, Notice, Waiting } from "../parts/notice";
import { href, usePlace } from "../url";
import { EndpointDetail } from "./detail";
import { EndpointTable } from "./table";

export function EndpointPage() {
  const [, cluster, id] = usePlace().path;
  const list = useInfiniteQuery(
    EndpointService.method.listEndpoints,
    { pageSize: 200, pageToken: "" },
    { pageParamKey: "pageToken", getNextPageParam: (last) => last.nextPageToken || undefined },
  );
  const rows = list.data?.pages.flatMap((page) => page.endpoints) ?? [];
  const selected = cluster !== undefined && id !== undefined;
  return (
    <div className={selected ? "split" : undefined}>
      <section>
        <div className="bar">
          <h1>APIs</h1>
          <span className="total">{list.data ? count(list.data.pages[0]?.total ?? 0n) : ""}</span>
          <span className="hint">Learned from requests; of responses only status and headers are seen.</span>
        </div>
        {list.isPending && <Waiting />}
        {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
        {list.data && rows.length === 0 && (
          <Notice title="No endpoints yet">
            An endpoint is shown after a few good answers to ordinary requests. If traffic flows, look at Nodes: it says what is mirrored.
          </Notice>
        )}
        {rows.length > 0 && <EndpointTable rows={rows} selected={id} />}
        {list.hasNextPage && <button onClick={() => void list.fetchNextPage()}>More</button>}
      </section>
      {selected && <EndpointDetail cluster={cluster} id={id} close={href(["apis"])} />}
    </div>
  );
}
