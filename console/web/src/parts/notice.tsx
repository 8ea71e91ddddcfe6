import type { ReactNode } from "react";

import { Sentence } from "./wrong";

export function Notice(props: { title: string; children?: ReactNode }) {
  return (
    <section className="notice">
      <h2>{props.title}</h2>
      <div>{props.children}</div>
    </section>
  );
}

export function Failure(props: { error: unknown; again?: () => void }) {
  return (
    <section className="notice failure" role="alert">
      <h2>That did not work</h2>
      <Sentence of={props.error} />
      {props.again && (
        <button type="button" onClick={props.again}>
          Try again
        </button>
      )}
    </section>
  );
}

export function Waiting() {
  return (
    <p className="waiting" role="status">
      Loading…
    </p>
  );
}
