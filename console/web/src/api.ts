// The console's own API, same origin: nothing of this page ever asks anyone else.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { QueryClient } from "@tanstack/react-query";

import { AttackService } from "./gen/sidelight/console/v1/ui_pb";

export const transport = createConnectTransport({ baseUrl: location.origin + "/api" });

export const attacks = createClient(AttackService, transport);

export const queries = new QueryClient({
  defaultOptions: {
    queries: { retry: (failures, error) => failures < 2 && ConnectError.from(error).code === Code.Unavailable, refetchOnWindowFocus: false },
  },
});

export function isSignedOut(error: unknown): boolean {
  return error !== null && error !== undefined && ConnectError.from(error).code === Code.Unauthenticated;
}

export function sentence(error: unknown): string {
  const e = ConnectError.from(error);
  switch (e.code) {
    case Code.Unavailable:
      return "The console cannot do its work now: " + e.rawMessage;
    case Code.ResourceExhausted:
      return "Too many tries: wait a little. " + e.rawMessage;
    default:
      return e.rawMessage || "Something went wrong; the console's log says more.";
  }
}
