import type { Installation } from "../gen/sidelight/console/v1/ui_pb";
import { Link } from "../parts/link";
import { Notice } from "../parts/notice";
import { href } from "../url";

// NoCoverage says why nothing is known of any workload, and what to do.
export function NoCoverage(props: { filtered: boolean; installations: Installation[] }) {
  if (props.filtered) {
    return (
      <Notice title="Nothing is known of this node's workloads">
        <p>
          <Link to={href(["coverage"])}>Show all nodes</Link>
        </p>
      </Notice>
    );
  }
  if (props.installations.length === 0) {
    return (
      <Notice title="Nothing is watched: there is no node yet">
        <p>
          Under <Link to={href(["nodes"])}>Nodes</Link>, make a token and give it to the configuration of the first one. It stands here within seconds of its start.
        </p>
      </Notice>
    );
  }
  return (
    <Notice title="Nothing is watched that is known of">
      <p>
        No agent tells of a workload. Nothing is selected by default: name some with <code>mirror.filters</code> in the agent&apos;s configuration. The agent finds a
        process that starts later by itself.
      </p>
      <p>
        <Link to={href(["nodes"])}>Nodes</Link> says of every part whether it is ready, and why not.
      </p>
    </Notice>
  );
}
