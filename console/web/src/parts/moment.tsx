import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";

import { useNow } from "../now";
import { ago, moment } from "../quantity";

// Moment is a point of time; its title has it in full, in local time and in UTC.
export function Moment(props: { at: Timestamp | undefined; relative?: boolean }) {
  const now = useNow(props.relative ? 1000 : 60_000);
  if (!props.at) return <span className="quiet">–</span>;
  const date = timestampDate(props.at);
  return (
    <time dateTime={date.toISOString()} title={`${date.toString()}\n${date.toISOString()}`}>
      {props.relative ? ago(props.at, now) : moment(props.at, now)}
    </time>
  );
}
