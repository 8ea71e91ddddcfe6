import { useSyncExternalStore } from "react";

const step = 1000;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

// One clock for the page. It stands while nobody looks.
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    if (!document.hidden) for (const l of listeners) l();
  }, step);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

// useNow is the time, in steps of `every` milliseconds, so that few things are drawn anew.
export function useNow(every = step): number {
  const read = () => Math.floor(Date.now() / every) * every;
  return useSyncExternalStore(subscribe, read, read);
}
