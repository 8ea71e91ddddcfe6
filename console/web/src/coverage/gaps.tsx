import { Bytes } from "../parts/bytes";
import { Moment } from "../parts/moment";
import { State } from "../parts/state";
import type { Gap } from "./standing";

// Gaps tells of whole nodes: no workload of theirs is in the list, or what the list says of them is old.
export function Gaps(props: { list: Gap[] }) {
  if (props.list.length === 0) return null;
  return (
    <section className="gaps" aria-labelledby="gaps">
      <h2 id="gaps">Whole nodes that are not watched</h2>
      <ul>
        {props.list.map((g, i) => (
          <li key={i}>
            <State tone={g.tone}>{g.word}</State>
            <b>
              <Bytes of={g.cluster} />
            </b>
            {g.instance && (
              <span>
                <Bytes of={g.instance} />
              </span>
            )}
            <span className="quiet">
              <Bytes of={g.why} />
              {g.since && (
                <>
                  {" "}
                  Last heard <Moment at={g.since} relative />.
                </>
              )}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
