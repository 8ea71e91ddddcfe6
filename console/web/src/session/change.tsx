import { useMutation } from "@connectrpc/connect-query";
import { type FormEvent, useState } from "react";

import { queries, sentence } from "../api";
import { SessionService } from "../gen/sidelight/console/v1/ui_pb";
import { Card } from "./card";

export function ChangePassword(props: { user: string }) {
  const [first, setFirst] = useState("");
  const [second, setSecond] = useState("");
  const change = useMutation(SessionService.method.changePassword, { onSuccess: () => queries.resetQueries() });
  const differ = second !== "" && first !== second;
  const submit = (e: FormEvent) => {
    e.preventDefault();
    if (first === second) change.mutate({ newPassword: first });
  };
  return (
    <Card title="Choose a password">
      <form onSubmit={submit}>
        <p>The one-time secret is used up. Choose the password that <b>{props.user}</b> signs in with from now on.</p>
        <p className="quiet">At least 12 characters. A few words in a row are easy to keep and hard to guess.</p>
        <label>
          New password
          <input name="new" type="password" autoComplete="new-password" value={first} onChange={(e) => setFirst(e.target.value)} required minLength={12} maxLength={256} autoFocus />
        </label>
        <label>
          Once more
          <input name="again" type="password" autoComplete="new-password" value={second} onChange={(e) => setSecond(e.target.value)} required />
        </label>
        {(differ || change.error) && (
          <p className="wrong" role="alert">
            {differ ? "The two passwords differ." : sentence(change.error)}
          </p>
        )}
        <button className="primary" disabled={change.isPending || differ}>
          Set the password
        </button>
      </form>
    </Card>
  );
}
