import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TransportProvider } from "@connectrpc/connect-query";
import { QueryClientProvider } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { queries, transport } from "../api";
import { InstallationSchema, TokenSchema } from "../gen/sidelight/console/v1/ui_pb";
import { hostile, tags, unseen } from "../hostile";
import { Node } from "./node";
import { TokenTable } from "./tokens";

const now = Date.now();
const draw = (node: ReactNode) =>
  renderToStaticMarkup(
    <TransportProvider transport={transport}>
      <QueryClientProvider client={queries}>{node}</QueryClientProvider>
    </TransportProvider>,
  );
const node = (h: string, rest = {}) =>
  create(InstallationSchema, {
    id: h,
    cluster: h,
    lastSeen: timestampFromMs(now),
    parts: [
      {
        part: h,
        instance: h,
        version: h,
        notReadyBecause: h,
        reportedAt: timestampFromMs(now),
        counters: [{ name: h, value: 7n }],
        losses: [{ place: h, reason: h, count: 3n }],
        policySequence: 4n,
        policyRefusedBecause: h,
      },
    ],
    blindIntervals: [{ id: h, node: h, reason: h, from: timestampFromMs(now - 5000) }],
    ...rest,
  });

describe.each(hostile)("%j", (h) => {
  const safe = (html: string) => {
    expect(tags(html).filter((tag) => !allowed.includes(tag))).toEqual([]);
    expect(html).not.toMatch(unseen);
  };
  const allowed = "a article b bdi button details dialog div h2 header li p span summary table tbody td th thead time tr ul".split(" ");
  it("is text wherever a node shows it", () => safe(draw(<Node of={node(h)} token={h} />)));
  it("is text in the row of a token", () => safe(draw(<TokenTable list={[create(TokenSchema, { id: h, name: h })]} />)));
});

describe("a node", () => {
  it("shows a refusal, a loss by place and reason, and time that is still blind", () => {
    const html = draw(<Node of={node("n")} token="t" />);
    for (const want of ["refused a newer one", "sequence 4", "<b>3</b> <bdi>n (n)</bdi>", "still blind", "with token"]) expect(html).toContain(want);
  });
  it("that was revoked has nothing green, and cannot be revoked again", () => {
    const html = draw(<Node of={node("n", { revoked: true, parts: [{ part: "agent", ready: true, reportedAt: timestampFromMs(now) }] })} token="t" />);
    expect(html).toContain('class="state bad">revoked');
    expect(html).not.toContain("state good");
    expect(html).not.toContain("Revoke the node");
  });
  it("with a part that fell silent is not called ready", () => {
    const parts = [{ part: "agent", ready: true, reportedAt: timestampFromMs(now - 60_000) }];
    expect(draw(<Node of={node("n", { parts })} token={undefined} />)).not.toContain("state good");
  });
});

it("a token that was revoked says so and can only be made anew", () => {
  const html = draw(<TokenTable list={[create(TokenSchema, { id: "a", name: "old", revoked: true })]} />);
  expect(html).toContain("revoked");
  expect(html).toContain("Regenerate the token old");
  expect(html).not.toContain("Revoke the token old");
});
