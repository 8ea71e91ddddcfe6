// The URL is the state: what a person sees can be sent to another.
import { useMemo, useSyncExternalStore } from "react";

export type Place = { path: string[]; query: URLSearchParams };
export type Query = Record<string, string | undefined>;

export function parse(path: string, search: string): Place {
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(search) };
}

export function href(path: string[], query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) search.set(key, value);
  const text = search.toString();
  return "/" + path.map(encode).join("/") + (text ? "?" + text : "");
}

// list reads a value that holds several, "sqli,xss".
export function list(value: string | null | undefined): string[] {
  return [...new Set((value ?? "").split(",").filter(Boolean))];
}

// A segment of dots is rewritten by browsers, escaped or not; an empty one would be lost. Both get a mark that decode removes.
function encode(segment: string): string {
  return (/^\.{0,2}$|^~/.test(segment) ? "~" : "") + encodeURIComponent(segment);
}

// Somebody may have typed the address: a percent sign that starts nothing stays as it is.
function decode(segment: string): string {
  const bare = segment.startsWith("~") ? segment.slice(1) : segment;
  try {
    return decodeURIComponent(bare);
  } catch {
    return bare;
  }
}

const moved = new EventTarget();

// go moves within the page; `replace` leaves no step to go back to.
export function go(to: string, replace = false): void {
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  moved.dispatchEvent(new Event("move"));
}

function subscribe(changed: () => void): () => void {
  moved.addEventListener("move", changed);
  addEventListener("popstate", changed);
  return () => {
    moved.removeEventListener("move", changed);
    removeEventListener("popstate", changed);
  };
}

export function usePlace(): Place {
  const path = useSyncExternalStore(subscribe, () => location.pathname);
  const search = useSyncExternalStore(subscribe, () => location.search);
  return useMemo(() => parse(path, search), [path, search]);
}
