import { runs } from "../bytes";

const utf8 = new TextEncoder();

// Bytes shows bytes that may be hostile; escapes look unlike text. With `lines`, line ends break the line.
export function Bytes(props: { of: Uint8Array | string; lines?: boolean }) {
  const bytes = typeof props.of === "string" ? utf8.encode(props.of) : props.of;
  return (
    <bdi>
      {runs(bytes, props.lines).map((run, i) =>
        run.escaped ? (
          <span key={i} className="escape">
            {run.text}
          </span>
        ) : (
          run.text
        ),
      )}
    </bdi>
  );
}
