import { create } from "@bufbuild/protobuf";

import { Intervals } from "../coverage/intervals";
import { BlindIntervalRowSchema, type Installation } from "../gen/sidelight/console/v1/ui_pb";
import { Link } from "../parts/link";
import { plural } from "../quantity";
import { href } from "../url";

// mostBlind is how many intervals of the last day the console tells of each node.
const mostBlind = 100;

// Blind shows when nobody watched this node in the last day.
export function Blind(props: { of: Installation }) {
  const list = props.of.blindIntervals;
  const open = list.filter((b) => !b.to).length;
  if (list.length === 0) return <span className="quiet">No blind interval recorded in 24 hours</span>;
  const rows = list.map((interval) => create(BlindIntervalRowSchema, { installation: props.of.id, cluster: props.of.cluster, interval }));
  return (
    <details>
      <summary>
        {list.length >= mostBlind ? `The newest ${mostBlind} blind intervals` : plural(list.length, "blind interval")} of 24 hours
        {open > 0 && <span className="loss"> {open} of them still {open === 1 ? "lasts" : "last"}</span>}
      </summary>
      <Intervals rows={rows} within label="Blind intervals of the last 24 hours" />
      {list.length >= mostBlind && (
        <p className="quiet">
          <Link to={href(["coverage"], { node: props.of.cluster })}>Coverage</Link> has the rest.
        </p>
      )}
    </details>
  );
}
