import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { BlindIntervalRowSchema, CoverageRowSchema } from "../gen/sidelight/console/v1/ui_pb";
import { hostile, tags, unseen } from "../hostile";
import { Gaps } from "./gaps";
import { Intervals } from "./intervals";
import { CoverageTable } from "./table";

const now = Date.now();
const workload = (h: string) => ({ cluster: h, node: h, namespace: h, pod: h, container: h, service: h, process: { pid: 1, executable: h, unit: h } });

describe.each(hostile)("%j", (h) => {
  const safe = (html: string, allowed: string[]) => {
    expect(tags(html).filter((tag) => !allowed.includes(tag))).toEqual([]);
    expect(html).not.toMatch(unseen);
  };
  const table = ["table", "thead", "tbody", "tr", "th", "td", "span", "bdi", "p", "div", "time"];

  it("is text in every cell of a workload", () => {
    const row = create(CoverageRowSchema, {
      cluster: h,
      node: h,
      installation: h,
      coverage: { workload: workload(h), why: h, tls: [{ stack: h, why: h }, { stack: h, hooked: true }] },
      reportedAt: timestampFromMs(now),
    });
    safe(renderToStaticMarkup(<CoverageTable rows={[row]} now={now} revoked={() => false} />), table);
  });

  it("is text in every cell of an interval", () => {
    const rows = [undefined, workload(h)].map((w) => create(BlindIntervalRowSchema, { cluster: h, interval: { id: h, node: h, workload: w, reason: h, from: timestampFromMs(now) } }));
    safe(renderToStaticMarkup(<Intervals rows={rows} label="x" />), table);
  });

  it("is text in a gap", () =>
    safe(renderToStaticMarkup(<Gaps list={[{ cluster: h, instance: h, word: "not known", tone: "bad", why: h }]} />), ["section", "h2", "ul", "li", "span", "b", "bdi"]));
});

describe("words", () => {
  const draw = (heard: number, mirrored: boolean) =>
    renderToStaticMarkup(
      <CoverageTable
        rows={[create(CoverageRowSchema, { coverage: { mirrored, why: "w", bytesSeen: 5n, bytesLost: 2n, exchanges: 9n, exchangesAcknowledged: 6n, exchangesLost: 1n }, reportedAt: timestampFromMs(now - heard) })]}
        now={now}
        revoked={() => false}
      />,
    );
  it("marks losses, and tells what nobody has acknowledged", () => {
    const html = draw(0, true);
    expect(html).toContain('<tr class="lossy">');
    expect(html).toContain("watched, with losses");
    expect(html).toContain("2 under way");
  });
  it("has nothing green for a silent agent, and says what it said last", () => {
    const html = draw(60_000, true);
    expect(html).not.toContain("state good");
    expect(html).toContain("not known");
    expect(html).toContain("it said: mirrored");
  });
  it("says still blind until there is an end", () => {
    const interval = (to?: number) =>
      renderToStaticMarkup(<Intervals label="x" rows={[create(BlindIntervalRowSchema, { interval: { id: "a", from: timestampFromMs(now - 5000), to: to === undefined ? undefined : timestampFromMs(to) } })]} />);
    expect(interval()).toContain("still blind");
    expect(interval(now)).not.toContain("still blind");
  });
});
