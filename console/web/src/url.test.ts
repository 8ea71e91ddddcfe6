import { describe, expect, it } from "vitest";

import { href, parse } from "./url";

describe("url", () => {
  it("reads back what it wrote", () => {
    const to = href(["attacks", "a/b", "#1"], { type: "sqli", span: undefined, q: "a b&c" });
    expect(to).toBe("/attacks/a%2Fb/%231?type=sqli&q=a+b%26c");
    const [path, search] = to.split("?");
    const place = parse(path ?? "", search ?? "");
    expect(place.path).toEqual(["attacks", "a/b", "#1"]);
    expect(place.query.get("q")).toBe("a b&c");
  });
  it("takes the root", () => expect(parse("/", "").path).toEqual([]));
});
