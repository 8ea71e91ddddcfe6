import { describe, expect, it } from "vitest";

import { href, list, parse } from "./url";

const back = (to: string) => {
  // As a browser reads it: dots in segments are resolved there.
  const url = new URL(to, "https://console.test");
  return parse(url.pathname, url.search);
};

describe("url", () => {
  it("writes plain things plainly", () => expect(href(["attacks", "demo", "a1"], { type: "sqli,xss", span: undefined, q: "a b&c" })).toBe("/attacks/demo/a1?type=sqli%2Cxss&q=a+b%26c"));
  it.each([["a/b"], ["#1?x=y"], [".."], ["."], [""], ["~"], ["~a/b"], ["50%"], ["%2e%2e"], ["ä日 \u202e"], ["<script>"]])("reads back the segment %j", (segment) => {
    expect(back(href(["attacks", segment, "x"])).path).toEqual(["attacks", segment, "x"]);
  });
  it("reads back the query", () => expect(back(href(["apis"], { host: "a&b=c d+é" })).query.get("host")).toBe("a&b=c d+é"));
  it("lives with what somebody typed", () => expect(parse("/attacks/%zz/%", "?type").path).toEqual(["attacks", "%zz", "%"]));
  it("takes the root", () => expect(parse("/", "").path).toEqual([]));
});

it("a list holds each value once", () => {
  expect(list("sqli,,xss,sqli")).toEqual(["sqli", "xss"]);
  expect(list(null)).toEqual([]);
});
