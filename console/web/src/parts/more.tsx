import { count } from "../quantity";

// More is the end of a list: how much of it is shown, and the button for the rest. A list may not know how long it is.
export function More(props: { shown: number; total?: bigint; has: boolean; busy: boolean; next: () => void }) {
  return (
    <p className="more">
      <span className="quiet">
        {count(props.shown)} {props.total === undefined ? (props.has ? "shown, more follow" : "shown, that is all") : `of ${count(props.total)} shown`}
      </span>
      {props.has && (
        <button type="button" onClick={props.next} disabled={props.busy}>
          {props.busy ? "Loading…" : "Load more"}
        </button>
      )}
    </p>
  );
}
