import { useMutation } from "@connectrpc/connect-query";

import { queries } from "../api";
import { SessionService } from "../gen/sidelight/console/v1/ui_pb";

export function SignOut() {
  const logout = useMutation(SessionService.method.logout, { onSettled: () => queries.resetQueries() });
  return (
    <button type="button" className="plain" onClick={() => logout.mutate({})}>
      Sign out
    </button>
  );
}
