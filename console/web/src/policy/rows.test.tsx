import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { QueryClientProvider } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { queries } from "../api";
import { PolicyContentSchema, PolicyStateSchema } from "../gen/sidelight/console/v1/ui_pb";
import { ManifestSchema } from "../gen/sidelight/policy/v1/policy_pb";
import { hostile, tags, unseen } from "../hostile";
import { Wrong } from "../parts/wrong";
import { Unseen } from "./area";
import { Content } from "./content";
import { History } from "./history";
import { States } from "./states";

const bytes = (text: string) => new TextEncoder().encode(text);
const draw = (node: ReactNode) => renderToStaticMarkup(<QueryClientProvider client={queries}>{node}</QueryClientProvider>);
const allowed = "bdi button code dd dialog div dl dt h2 h3 h4 li p pre section span table tbody td th thead time tr ul".split(" ");

describe.each(hostile)("%j", (h) => {
  const safe = (html: string) => {
    expect(tags(html).filter((tag) => !allowed.includes(tag))).toEqual([]);
    expect(html).not.toMatch(unseen);
  };
  it("is text in the policy", () => {
    const rules = [{ seclang: h, cases: [{ method: h, target: h, headers: [h], body: bytes(h) }] }];
    safe(draw(<Content of={create(PolicyContentSchema, { masks: { points: [h] }, trustedCidrs: { cidrs: [h] }, rules: { rules } })} />));
  });
  it("is text in the state of a part", () =>
    safe(draw(<States states={[create(PolicyStateSchema, { cluster: h, part: h, instance: h, refusedBecause: h })]} newest={1n} installations={[]} now={0} />)));
  it("is text in the list of sequences", () => safe(draw(<History list={[create(ManifestSchema, { sequence: 1n, by: h, comment: h })]} newest={2n} />)));
  it("is text in the console's answer", () => safe(draw(<Wrong error={new ConnectError(h, Code.InvalidArgument)} />)));
  it("is shown below the box that hides it", () => safe(draw(<Unseen of={h} />)));
});

it("each problem of an answer has its line", () => {
  const html = draw(<Wrong error={new ConnectError("rule 1 is empty\nmask 2 is empty", Code.InvalidArgument)} />);
  expect(html.match(/<p>/g)).toHaveLength(2);
  expect(html).toContain('role="alert"');
});

it("a box with plain text has nothing below", () => expect(draw(<Unseen of={'SecRule ARGS:q "@rx a"\n\t"id:9000001"\nä'} />)).toBe(""));

it("the newest sequence cannot be rolled back to, the others can", () => {
  const html = draw(<History list={[3n, 2n].map((sequence) => create(ManifestSchema, { sequence }))} newest={3n} />);
  expect(html).toContain("Roll back to sequence 2");
  expect(html).not.toContain("Roll back to sequence 3");
});
