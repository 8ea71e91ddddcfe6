import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { attacks } from "./api";

// useChanges keeps the page live: whenever the console says that something changed, what is shown is asked for again.
export function useChanges(): boolean {
  const client = useQueryClient();
  const [live, setLive] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    const listen = async () => {
      for (let wait = 500; !stop.signal.aborted; wait = Math.min(2 * wait, 15000)) {
        try {
          for await (const _ of attacks.watchChanges({}, { signal: stop.signal, onHeader: () => setLive(true) })) {
            wait = 500;
            await client.invalidateQueries();
          }
        } catch {
          // The stream ended; the next try follows.
        }
        if (stop.signal.aborted) return;
        setLive(false);
        await new Promise((done) => setTimeout(done, wait));
        await client.invalidateQueries();
      }
    };
    void listen();
    return () => stop.abort();
  }, [client]);
  return live;
}
