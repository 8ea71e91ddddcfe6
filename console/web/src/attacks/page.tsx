import { useInfiniteQuery } from "@connectrpc/connect-query";
import { keepPreviousData } from "@tanstack/react-query";
import { useCallback, useRef } from "react";

import { AttackService } from "../gen/sidelight/console/v1/ui_pb";
import { More } from "../parts/more";
import { Failure, Waiting } from "../parts/notice";
import { count } from "../quantity";
import { go, href, list as several, usePlace } from "../url";
import { AttackDetail } from "./detail";
import { NoAttacks } from "./empty";
import { AttackFilters, spanOf } from "./filters";
import { useSince } from "./since";
import { AttackTable } from "./table";

export function AttackPage() {
  const place = usePlace();
  const [, cluster, id] = place.path;
  const filters = { type: place.query.get("type") ?? undefined, span: place.query.get("span") ?? undefined, cluster: place.query.get("cluster") ?? undefined };
  const pages = useRef(0);
  const since = useSince(spanOf(filters.span), useCallback(() => pages.current > 1, []));
  const list = useInfiniteQuery(
    AttackService.method.listAttacks,
    { pageSize: 50, pageToken: "", types: several(filters.type), cluster: filters.cluster, since },
    { pageParamKey: "pageToken", getNextPageParam: (last) => last.nextPageToken || undefined, placeholderData: keepPreviousData },
  );
  pages.current = list.data?.pages.length ?? 0;
  const rows = list.data?.pages.flatMap((page) => page.attacks) ?? [];
  const total = list.data?.pages[0]?.total ?? 0n;
  const selected = cluster !== undefined && id !== undefined;
  return (
    <div className={selected ? "split" : undefined}>
      <section className="list">
        <div className="bar">
          <h1>
            Attacks {list.data && <span className="total">{count(total)}</span>}
          </h1>
          <AttackFilters {...filters} set={(change) => go(href(["attacks"], { ...filters, ...change }))} />
        </div>
        {list.isPending && <Waiting />}
        {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
        {list.data && rows.length === 0 && <NoAttacks filtered={Object.values(filters).some(Boolean)} />}
        {rows.length > 0 && (
          <>
            <AttackTable rows={rows} selected={id} query={filters} />
            <More shown={rows.length} total={total} has={list.hasNextPage} busy={list.isFetchingNextPage} next={() => void list.fetchNextPage()} />
          </>
        )}
      </section>
      {selected && <AttackDetail key={cluster + "/" + id} cluster={cluster} id={id} close={href(["attacks"], filters)} />}
    </div>
  );
}
