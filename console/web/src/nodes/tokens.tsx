import { useQuery } from "@connectrpc/connect-query";

import { InstallationService, type Token } from "../gen/sidelight/console/v1/ui_pb";
import { Bytes } from "../parts/bytes";
import { Moment } from "../parts/moment";
import { Failure, Waiting } from "../parts/notice";
import { State } from "../parts/state";
import { count } from "../quantity";
import { Regenerate, Revoke } from "./change";

export function Tokens() {
  const list = useQuery(InstallationService.method.listTokens, {}, { refetchInterval: 5000 });
  const tokens = list.data?.tokens ?? [];
  return (
    <section aria-labelledby="tokens">
      <h2 id="tokens">
        Tokens {list.data && <span className="total">{count(tokens.length)}</span>}
      </h2>
      <p className="quiet">A node registers with a token, once. The console keeps no token, only what it needs to know one again.</p>
      {list.isPending && <Waiting />}
      {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.data && tokens.length === 0 && <p className="blank">There is none yet. “Add a node” makes the first.</p>}
      {tokens.length > 0 && <TokenTable list={tokens} />}
    </section>
  );
}

export function TokenTable(props: { list: Token[] }) {
  return (
    <div className="wide">
      <table className="tokens" aria-label="Tokens">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">State</th>
            <th scope="col" className="number">
              Nodes registered with it
            </th>
            <th scope="col">Made</th>
            <th scope="col">
              <span className="unseen">What can be done</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {props.list.map((t) => (
            <tr key={t.id} className={t.revoked ? "revoked" : undefined}>
              <th scope="row">
                <Bytes of={t.name || "unnamed"} />
              </th>
              {/* Whether it was ever used says the number beside; that it can be used is all that is known. */}
              <td>{t.revoked ? <State tone="bad">revoked</State> : <State tone="none">can register nodes</State>}</td>
              <td className="number">{count(t.installations)}</td>
              <td className="time">
                <Moment at={t.createdAt} />
              </td>
              <td className="do">
                <Regenerate of={t} />
                {!t.revoked && <Revoke of={t} />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
