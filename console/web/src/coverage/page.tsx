import { useInfiniteQuery, useQuery } from "@connectrpc/connect-query";
import { keepPreviousData } from "@tanstack/react-query";

import { line } from "../bytes";
import { type CoverageRow, CoverageService, InstallationService } from "../gen/sidelight/console/v1/ui_pb";
import { useNow } from "../now";
import { Choice } from "../parts/choice";
import { More } from "../parts/more";
import { Failure, Waiting } from "../parts/notice";
import { State } from "../parts/state";
import { count } from "../quantity";
import { go, href, usePlace } from "../url";
import { NoCoverage } from "./empty";
import { Gaps } from "./gaps";
import { Intervals } from "./intervals";
import { gaps, tally } from "./standing";
import { CoverageTable } from "./table";

const paging = { pageParamKey: "pageToken", getNextPageParam: (last: { nextPageToken: string }) => last.nextPageToken || undefined } as const;
// Agents report every ten seconds, and the console does not tell when they did.
const live = { refetchInterval: 5000, placeholderData: keepPreviousData } as const;

export function CoveragePage() {
  const cluster = usePlace().query.get("node") ?? "";
  const now = useNow(5000);
  const nodes = useQuery(InstallationService.method.listInstallations, {}, { refetchInterval: 5000 });
  const list = useInfiniteQuery(CoverageService.method.listCoverage, { cluster, pageSize: 200, pageToken: "" }, { ...paging, ...live });
  const rows = list.data?.pages.flatMap((page) => page.rows) ?? [];
  const installations = nodes.data?.installations ?? [];
  const cutOff = new Set(installations.filter((i) => i.revoked).map((i) => i.cluster));
  const revoked = (row: CoverageRow) => cutOff.has(row.cluster);
  return (
    <section className="list coverages">
      <div className="bar">
        <h1>
          Coverage {list.data && <span className="total">{count(rows.length) + (list.hasNextPage ? "+" : "")}</span>}
        </h1>
        <Filter cluster={cluster} clusters={installations.map((i) => i.cluster)} />
        <ul className="tally" aria-label="Workloads by state">
          {tally(rows, now, revoked).map(({ standing, n }) => (
            <li key={standing.word}>
              <State tone={standing.tone}>
                {count(n)} {standing.word}
              </State>
            </li>
          ))}
        </ul>
      </div>
      {list.isPending && <Waiting />}
      {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
      <Gaps list={gaps(installations, now).filter((g) => cluster === "" || g.cluster === cluster)} />
      {list.data && rows.length === 0 && nodes.data && <NoCoverage filtered={cluster !== ""} installations={installations} />}
      {rows.length > 0 && (
        <>
          <CoverageTable rows={rows} now={now} revoked={revoked} />
          <More shown={rows.length} has={list.hasNextPage} busy={list.isFetchingNextPage} next={() => void list.fetchNextPage()} />
        </>
      )}
      <Blind cluster={cluster} />
    </section>
  );
}

function Filter(props: { cluster: string; clusters: string[] }) {
  if (props.clusters.length < 2 && !props.cluster) return null;
  const set = (node: string) => go(href(["coverage"], { node }));
  return (
    <div className="filters" role="group" aria-label="Filters">
      <Choice label="Node" all="All nodes" value={props.cluster} options={props.clusters.map((c) => [c, line(c)])} pick={set} />
      {props.cluster && (
        <button type="button" className="plain" onClick={() => set("")}>
          Clear
        </button>
      )}
    </div>
  );
}

function Blind(props: { cluster: string }) {
  const list = useInfiniteQuery(CoverageService.method.listBlindIntervals, { cluster: props.cluster, pageSize: 100, pageToken: "" }, { ...paging, ...live });
  const rows = list.data?.pages.flatMap((page) => page.rows) ?? [];
  return (
    <section aria-labelledby="blind">
      <h2 id="blind">Blind intervals</h2>
      <p className="quiet">Time in which nobody watched: an agent stopped, restarted, or was not heard. What was sent then is not known.</p>
      {list.isPending && <Waiting />}
      {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.data && rows.length === 0 && (
        <p className="blank">None is recorded. What was never watched at all has none: the list above tells of that.</p>
      )}
      {rows.length > 0 && (
        <>
          <Intervals rows={rows} label="Blind intervals" />
          <More shown={rows.length} has={list.hasNextPage} busy={list.isFetchingNextPage} next={() => void list.fetchNextPage()} />
        </>
      )}
    </section>
  );
}
