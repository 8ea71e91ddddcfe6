import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useMemo } from "react";

import { attackTypes, count, typeName } from "../format";
import { AttackService } from "../gen/sidelight/console/v1/ui_pb";
import { Failure, Waiting } from "../parts/notice";
import { go, href, usePlace } from "../url";
import { AttackDetail } from "./detail";
import { NoAttacks } from "./empty";
import { AttackTable } from "./table";

const spans: Record<string, number> = { "1h": 3600e3, "24h": 86400e3, "7d": 7 * 86400e3 };

export function AttackPage() {
  const place = usePlace();
  const [, cluster, id] = place.path;
  const type = place.query.get("type") ?? undefined;
  const span = place.query.get("span") ?? undefined;
  const since = useMemo(() => (span && spans[span] ? timestampFromMs(Date.now() - spans[span]) : undefined), [span]);
  const list = useInfiniteQuery(
    AttackService.method.listAttacks,
    { pageSize: 50, pageToken: "", types: type ? [type] : [], since },
    { pageParamKey: "pageToken", getNextPageParam: (last) => last.nextPageToken || undefined },
  );
  const set = (query: Record<string, string | undefined>) => go(href(["attacks"], { type, span, ...query }));
  const rows = list.data?.pages.flatMap((page) => page.attacks) ?? [];
  const selected = cluster !== undefined && id !== undefined;
  return (
    <div className={selected ? "split" : undefined}>
      <section>
        <div className="bar">
          <h1>Attacks</h1>
          <span className="total">{list.data ? count(list.data.pages[0]?.total ?? 0n) : ""}</span>
          <select aria-label="Type" value={type ?? ""} onChange={(e) => set({ type: e.target.value })}>
            <option value="">All types</option>
            {attackTypes.map((t) => (
              <option key={t} value={t}>
                {typeName(t)}
              </option>
            ))}
          </select>
          <select aria-label="Time" value={span ?? ""} onChange={(e) => set({ span: e.target.value })}>
            <option value="">Any time</option>
            <option value="1h">Last hour</option>
            <option value="24h">Last 24 hours</option>
            <option value="7d">Last 7 days</option>
          </select>
        </div>
        {list.isPending && <Waiting />}
        {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
        {list.data && rows.length === 0 && <NoAttacks filtered={Boolean(type ?? span)} />}
        {rows.length > 0 && <AttackTable rows={rows} selected={id} query={{ type, span }} />}
        {list.hasNextPage && (
          <button onClick={() => void list.fetchNextPage()} disabled={list.isFetchingNextPage}>
            Older attacks
          </button>
        )}
      </section>
      {selected && <AttackDetail cluster={cluster} id={id} close={href(["attacks"], { type, span })} />}
    </div>
  );
}
