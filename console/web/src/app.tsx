import { useQuery } from "@connectrpc/connect-query";
import { useEffect, useState } from "react";

import { isSignedOut } from "./api";
import { AttackPage } from "./attacks/page";
import { useChanges } from "./changes";
import { CoveragePage } from "./coverage/page";
import { EndpointPage } from "./endpoints/page";
import { SessionService } from "./gen/sidelight/console/v1/ui_pb";
import { NodePage } from "./nodes/page";
import { Boundary } from "./parts/boundary";
import { Link } from "./parts/link";
import { Failure, Notice, Waiting } from "./parts/notice";
import type { Draft } from "./policy/draft";
import { PolicyPage } from "./policy/page";
import { ChangePassword } from "./session/change";
import { Login } from "./session/login";
import { SignOut } from "./session/signout";
import { href, usePlace } from "./url";

export function App() {
  const who = useQuery(SessionService.method.whoAmI, {}, { meta: { session: true }, staleTime: Infinity });
  if (who.isPending) return <Waiting />;
  if (who.error) return isSignedOut(who.error) ? <Login /> : <Failure error={who.error} again={() => void who.refetch()} />;
  if (who.data.mustChangePassword) return <ChangePassword user={who.data.user} />;
  return <House user={who.data.user} />;
}

const rooms = [
  { name: "Attacks", path: "attacks" },
  { name: "APIs", path: "apis" },
  { name: "Coverage", path: "coverage" },
  { name: "Nodes", path: "nodes" },
  { name: "Policy", path: "policy" },
];

function House(props: { user: string }) {
  const place = usePlace();
  const live = useChanges();
  const [draft, setDraft] = useState<Draft>();
  const room = place.path[0] ?? "attacks";
  const name = rooms.find((r) => r.path === room)?.name;
  useEffect(() => {
    document.title = name ? `${name} – Sidelight` : "Sidelight";
  }, [name]);
  return (
    <>
      <header className="top">
        <Link to="/" className="brand">
          <img src="/icon.svg" alt="" width={22} height={22} /> Sidelight
        </Link>
        <nav aria-label="Pages">
          {rooms.map((r) => (
            <Link key={r.path} to={href([r.path])} current={room === r.path}>
              {r.name}
            </Link>
          ))}
        </nav>
        <span className={live ? "live on" : "live"} role="status">
          {live ? "live" : "reconnecting"}
        </span>
        <span className="user">{props.user}</span>
        <SignOut />
      </header>
      <main>
        <Boundary key={room}>
          <Room name={room} draft={draft} setDraft={setDraft} />
        </Boundary>
      </main>
    </>
  );
}

function Room(props: { name: string; draft: Draft | undefined; setDraft: (draft: Draft | undefined) => void }) {
  switch (props.name) {
    case "attacks":
      return <AttackPage />;
    case "apis":
      return <EndpointPage />;
    case "coverage":
      return <CoveragePage />;
    case "nodes":
      return <NodePage />;
    case "policy":
      return <PolicyPage draft={props.draft} setDraft={props.setDraft} />;
    default:
      return (
        <Notice title="There is no such page">
          <p>
            <Link to="/">To the attacks</Link>
          </p>
        </Notice>
      );
  }
}
