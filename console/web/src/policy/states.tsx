import type { Installation, PolicyState } from "../gen/sidelight/console/v1/ui_pb";
import { Bytes } from "../parts/bytes";
import { State } from "../parts/state";
import { known, rank, standing } from "./standing";

type Props = { states: PolicyState[]; newest: bigint; installations: Installation[]; now: number };

// States says of each part which policy it obeys. Those that somebody has to look at come first.
export function States(props: Props) {
  if (props.states.length === 0) return <p className="blank">No part has reported. Each says what it obeys within ten seconds of its start.</p>;
  const rows = props.states
    .map((s) => ({ s, standing: standing(s, props.newest, known(s, props.installations), props.now) }))
    .sort((a, b) => rank(a.standing) - rank(b.standing));
  return (
    <table className="states" aria-label="What each part obeys">
      <thead>
        <tr>
          <th scope="col">Part</th>
          <th scope="col">Node</th>
          <th scope="col">State</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ s, standing: is }) => (
          <tr key={JSON.stringify([s.cluster, s.part, s.instance])} className={is.because ? "lossy" : undefined}>
            <th scope="row">
              <Bytes of={s.part} />
            </th>
            <td>
              <span className="host">
                <Bytes of={s.cluster} />
              </span>
              <Bytes of={s.instance} />
            </td>
            <td>
              <State tone={is.tone}>{is.word}</State>
              {is.because && (
                <p className="reason">
                  because <Bytes of={is.because} lines />
                </p>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
