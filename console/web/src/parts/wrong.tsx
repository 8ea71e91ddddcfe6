import { sentence } from "../api";
import { Bytes } from "./bytes";

// Sentence says what went wrong. The console may repeat what somebody wrote, so it is shown as such; each of several
// problems has a line of its own.
export function Sentence(props: { of: unknown }) {
  return (
    <>
      {sentence(props.of)
        .split("\n")
        .map((line, i) => (
          <p key={i}>
            <Bytes of={line} />
          </p>
        ))}
    </>
  );
}

// Wrong stands at the form whose request failed.
export function Wrong(props: { error: unknown }) {
  if (!props.error) return null;
  return (
    <div className="wrong" role="alert">
      <Sentence of={props.error} />
    </div>
  );
}
