// The URL is the state: what a person sees can be sent to another.
import { useSyncExternalStore } from "react";

export type Place = { path: string[]; query: URLSearchParams };

export function parse(path: string, search: string): Place {
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(search) };
}

export function href(path: string[], query?: Record<string, string | undefined>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) if (value) search.set(key, value);
  const text = search.toString();
  return "/" + path.map(encodeURIComponent).join("/") + (text ? "?" + text : "");
}

const moved = new EventTarget();

export function go(to: string): void {
  history.pushState(null, "", to);
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
  const text = useSyncExternalStore(subscribe, () => location.pathname + location.search);
  const [path, search] = text.split("?");
  return parse(path ?? "/", search ?? "");
}
