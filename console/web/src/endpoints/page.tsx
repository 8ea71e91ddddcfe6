import { useInfiniteQuery } from "@connectrpc/connect-query";
import { keepPreviousData } from "@tanstack/react-query";

import { line } from "../bytes";
import { EndpointService } from "../gen/sidelight/console/v1/ui_pb";
import { Choice } from "../parts/choice";
import { More } from "../parts/more";
import { Failure, Waiting } from "../parts/notice";
import { count } from "../quantity";
import { go, href, type Query, usePlace } from "../url";
import { EndpointDetail } from "./detail";
import { NoEndpoints } from "./empty";
import { EndpointTable } from "./table";

const paging = { pageParamKey: "pageToken", getNextPageParam: (last: { nextPageToken: string }) => last.nextPageToken || undefined } as const;

export function EndpointPage() {
  const place = usePlace();
  const [, cluster, id] = place.path;
  const filters = { service: place.query.get("service") ?? undefined, host: place.query.get("host") ?? undefined };
  const list = useInfiniteQuery(
    EndpointService.method.listEndpoints,
    { pageSize: 100, pageToken: "", service: filters.service, host: filters.host },
    { ...paging, placeholderData: keepPreviousData },
  );
  const rows = list.data?.pages.flatMap((page) => page.endpoints) ?? [];
  const total = list.data?.pages[0]?.total ?? 0n;
  const selected = cluster !== undefined && id !== undefined;
  return (
    <div className={selected ? "split" : undefined}>
      <section className="list">
        <div className="bar">
          <h1>
            APIs {list.data && <span className="total">{count(total)}</span>}
          </h1>
          <EndpointFilters {...filters} set={(change) => go(href(["apis"], { ...filters, ...change }))} />
          <p className="aside">Learned from requests. Of responses, only status and headers are seen, never a body.</p>
        </div>
        {list.isPending && <Waiting />}
        {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
        {list.data && rows.length === 0 && <NoEndpoints filtered={Object.values(filters).some(Boolean)} />}
        {rows.length > 0 && (
          <>
            <EndpointTable rows={rows} selected={id} query={filters} />
            <More shown={rows.length} total={total} has={list.hasNextPage} busy={list.isFetchingNextPage} next={() => void list.fetchNextPage()} />
          </>
        )}
      </section>
      {selected && <EndpointDetail key={cluster + "/" + id} cluster={cluster} id={id} close={href(["apis"], filters)} />}
    </div>
  );
}

function EndpointFilters(props: { service?: string; host?: string; set: (change: Query) => void }) {
  // What can be chosen comes from the list without filters; it is the same request that the page makes without them.
  const all = useInfiniteQuery(EndpointService.method.listEndpoints, { pageSize: 100, pageToken: "", service: undefined, host: undefined }, paging);
  const rows = all.data?.pages.flatMap((page) => page.endpoints) ?? [];
  const options = (values: string[]): [string, string][] => [...new Set(values)].filter(Boolean).sort().map((v) => [v, line(v)]);
  const services = options(rows.map((e) => e.service));
  const hosts = options(rows.map((e) => e.host));
  if (rows.length === 0 && !props.service && !props.host) return null;
  return (
    <div className="filters" role="group" aria-label="Filters">
      <Choice label="Service" all="All services" value={props.service ?? ""} options={services} pick={(service) => props.set({ service })} />
      <Choice label="Host" all="All hosts" value={props.host ?? ""} options={hosts} pick={(host) => props.set({ host })} />
      {(props.service || props.host) && (
        <button type="button" className="plain" onClick={() => props.set({ service: undefined, host: undefined })}>
          Clear
        </button>
      )}
    </div>
  );
}
