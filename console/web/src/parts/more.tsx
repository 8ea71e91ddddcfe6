import { count } from "../quantity";

// More is the end of a list: how much of it is shown, and the button for the rest.
export function More(props: { shown: number; total: bigint; has: boolean; busy: boolean; next: () => void }) {
  return (
    <p className="more">
      <span className="quiet">
        {count(props.shown)} of {count(props.total)} shown
      </span>
      {props.has && (
        <button type="button" onClick={props.next} disabled={props.busy}>
          {props.busy ? "Loading…" : "Load more"}
        </button>
      )}
    </p>
  );
}
