import { again, policies } from "../api";
import { PolicyService } from "../gen/sidelight/console/v1/ui_pb";
import { Kind, type Manifest } from "../gen/sidelight/policy/v1/policy_pb";
import { Bytes } from "../parts/bytes";
import { Confirm } from "../parts/confirm";
import { Moment } from "../parts/moment";
import { word } from "../words";

// refresh asks again for the policy; nobody waits for it.
export function refresh(): void {
  void again(PolicyService.method.getPolicy, PolicyService.method.listPolicies);
}

// History lists what was published. A sequence is never used again: going back publishes old content under the next one.
export function History(props: { list: Manifest[]; newest: bigint }) {
  return (
    <table className="history" aria-label="Sequences">
      <thead>
        <tr>
          <th scope="col" className="number">
            Sequence
          </th>
          <th scope="col">Published, and what it decides</th>
          <th scope="col">
            <span className="unseen">What can be done</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {props.list.map((m) => (
          <tr key={String(m.sequence)}>
            <th scope="row" className="number">
              {String(m.sequence)}
            </th>
            <td>
              <Moment at={m.issuedAt} />{" "}
              <span className="quiet">
                by <Bytes of={m.by || "–"} />
              </span>
              <p>{m.comment ? <Bytes of={m.comment} lines /> : <span className="quiet">no comment</span>}</p>
              <p className="quiet">{kinds(m)}</p>
            </td>
            <td className="do">{m.sequence === props.newest ? <span className="quiet">newest</span> : <RollBack to={m} newest={props.newest} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function kinds(m: Manifest): string {
  if (m.entries.length === 0) return "nothing: built-in defaults";
  return m.entries.map((e) => (e.kind === Kind.TRUSTED_CIDRS ? "trusted ranges" : word(Kind[e.kind]))).join(", ");
}

function RollBack(props: { to: Manifest; newest: bigint }) {
  const { sequence } = props.to;
  return (
    <Confirm
      open="Roll back"
      label={`Roll back to sequence ${sequence}`}
      title={`Roll back to sequence ${sequence}?`}
      action="Roll back"
      run={() => policies.rollBackPolicy({ toSequence: sequence }).then(refresh)}
    >
      <ul className="will">
        <li>
          What sequence {String(sequence)} holds is published again, under the next sequence after {String(props.newest)}. Nothing is deleted.
        </li>
        <li>All parts of all nodes get it as soon as they are reached, and obey it from then on. A part that finds it wrong says so, and goes on with what it has.</li>
        <li>What sequence {String(props.newest)} decided and this one did not falls back to the built-in defaults.</li>
      </ul>
    </Confirm>
  );
}
