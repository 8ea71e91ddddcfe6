// The console's own API, same origin: nothing of this page ever asks anyone else.
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectQueryKey } from "@connectrpc/connect-query";
import { createConnectTransport } from "@connectrpc/connect-web";
import { QueryCache, QueryClient } from "@tanstack/react-query";

import { AttackService, InstallationService, PolicyService, SessionService } from "./gen/sidelight/console/v1/ui_pb";
import { capital } from "./words";

export const transport = createConnectTransport({ baseUrl: "/api" });

export const attacks = createClient(AttackService, transport);
export const installations = createClient(InstallationService, transport);
export const policies = createClient(PolicyService, transport);

const whoAmI = createConnectQueryKey({ schema: SessionService.method.whoAmI, cardinality: "finite" });

export const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    // A session that ended in the middle is found by whatever asks next; who is signed in decides what is shown.
    onError: (error, query) => {
      if (isSignedOut(error) && !query.meta?.session) signedOut();
    },
  }),
  defaultOptions: {
    queries: {
      retry: (failures, error) => failures < 2 && isAway(error),
      refetchOnWindowFocus: false,
      // A console that is away, or whose database is, comes back: the page then goes on by itself.
      refetchInterval: (query) => (query.state.error && isAway(query.state.error) ? 5000 : false),
    },
  },
});

// again asks anew for what somebody has just changed.
export async function again(...methods: DescMethodUnary[]): Promise<void> {
  await Promise.all(methods.map((schema) => queries.invalidateQueries({ queryKey: createConnectQueryKey({ schema, cardinality: undefined }) })));
}

export function signedOut(): void {
  void queries.invalidateQueries({ queryKey: whoAmI });
}

export function isSignedOut(error: unknown): boolean {
  return Boolean(error) && ConnectError.from(error).code === Code.Unauthenticated;
}

function isAway(error: unknown): boolean {
  const e = ConnectError.from(error);
  return e.code === Code.Unavailable || e.cause instanceof TypeError;
}

// sentence says what happened and what to do next.
export function sentence(error: unknown): string {
  const e = ConnectError.from(error);
  // A request that reached nobody comes with the browser's own words.
  if (e.cause instanceof TypeError) return "The console does not answer. Is it running, and does this machine reach it?";
  if (e.rawMessage === "") return "Something went wrong; the console's log says more.";
  const text = capital(e.rawMessage) + (e.rawMessage.endsWith(".") ? "" : ".");
  return e.code === Code.ResourceExhausted ? "Too many tries. " + text : text;
}
