import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { useEffect, useState } from "react";

import { useNow } from "../now";

const minute = 60_000;

// useSince is the start of the last `span`. It moves on minute by minute, and stands while `held`: a list of many pages
// would begin anew each time.
export function useSince(span: number | undefined, held: () => boolean): Timestamp | undefined {
  const now = useNow(minute);
  const [at, setAt] = useState(now);
  useEffect(() => {
    if (!held()) setAt(now);
  }, [now, span, held]);
  return span === undefined ? undefined : timestampFromMs(at - span);
}
