import { useMutation } from "@connectrpc/connect-query";
import { type FormEvent, useState } from "react";

import { queries, sentence } from "../api";
import { SessionService } from "../gen/sidelight/console/v1/ui_pb";
import { Card } from "./card";

export function Login() {
  const [user, setUser] = useState("admin");
  const [password, setPassword] = useState("");
  const login = useMutation(SessionService.method.login, { onSuccess: () => queries.resetQueries() });
  const submit = (e: FormEvent) => {
    e.preventDefault();
    login.mutate({ user, password });
  };
  return (
    <Card title="Sign in">
      <form onSubmit={submit}>
        <label>
          User
          <input name="user" autoComplete="username" value={user} onChange={(e) => setUser(e.target.value)} required />
        </label>
        <label>
          Password or one-time secret
          <input name="password" type="password" autoComplete="current-password" value={password} onChange={(e) => setPassword(e.target.value)} required autoFocus />
        </label>
        {login.error && (
          <p className="wrong" role="alert">
            {sentence(login.error)}
          </p>
        )}
        <button className="primary" disabled={login.isPending}>
          Sign in
        </button>
      </form>
      <p className="quiet">The first time, sign in as <b>admin</b> with the one-time secret that Sidelight printed when it started. It holds for 15 minutes and one use.</p>
    </Card>
  );
}
