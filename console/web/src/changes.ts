import type { DescMethodUnary } from "@bufbuild/protobuf";
import { createConnectQueryKey } from "@connectrpc/connect-query";
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { attacks, isSignedOut, signedOut } from "./api";
import { AttackService, EndpointService, type WatchChangesResponse } from "./gen/sidelight/console/v1/ui_pb";

const least = 500;
const most = 15_000;

// useChanges keeps the page live: whenever the console says that something changed, what is shown is asked for again.
// It says whether the page is live now.
export function useChanges(): boolean {
  const client = useQueryClient();
  const [live, setLive] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    void listen(client, stop.signal, setLive);
    return () => stop.abort();
  }, [client]);
  return live;
}

async function listen(client: QueryClient, signal: AbortSignal, setLive: (live: boolean) => void): Promise<void> {
  let wait = least;
  let first = true;
  while (!signal.aborted) {
    try {
      const headers = () => {
        wait = least;
        setLive(true);
        // What changed while nobody listened was not told.
        if (!first) void refresh(client, { attacks: true, endpoints: true });
        first = false;
      };
      for await (const change of attacks.watchChanges({}, { signal, onHeader: headers })) await refresh(client, change);
    } catch (error) {
      if (!signal.aborted && isSignedOut(error)) signedOut();
    }
    if (signal.aborted) return;
    setLive(false);
    await pause(wait, signal);
    wait = Math.min(2 * wait, most);
  }
}

// refresh asks again for what is shown and marks the rest as old. Waiting for it keeps a slow console from being asked
// faster than it answers: meanwhile further changes queue up, and each is cheap.
async function refresh(client: QueryClient, change: Pick<WatchChangesResponse, "attacks" | "endpoints">): Promise<void> {
  const methods: DescMethodUnary[] = [];
  if (change.attacks) methods.push(AttackService.method.listAttacks, AttackService.method.getAttack);
  if (change.endpoints) methods.push(EndpointService.method.listEndpoints, EndpointService.method.getEndpoint);
  await Promise.all(
    methods.map((schema) => client.invalidateQueries({ queryKey: createConnectQueryKey({ schema, cardinality: undefined }) }, { cancelRefetch: false })),
  );
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}
