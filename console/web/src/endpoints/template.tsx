import { Bytes } from "../parts/bytes";

// Template shows a path with its variables set off.
export function Template(props: { text: string }) {
  return (
    <>
      {props.text.split(/(\{[^}]*\})/).map((piece, i) =>
        i % 2 === 1 ? (
          <var key={i}>
            <Bytes of={piece} />
          </var>
        ) : (
          <Bytes key={i} of={piece} />
        ),
      )}
    </>
  );
}
