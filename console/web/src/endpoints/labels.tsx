import type { AuthScheme } from "../gen/sidelight/inventory/v1/observation_pb";
import { Bytes } from "../parts/bytes";
import { auth, word } from "../words";

export function Auth(props: { schemes: AuthScheme[] }) {
  if (props.schemes.length === 0) return <span className="quiet">not seen</span>;
  return <>{props.schemes.map(auth).join(", ")}</>;
}

// Classes shows kinds of sensitive data, each once.
export function Classes(props: { of: string[] }) {
  return (
    <>
      {[...new Set(props.of)].sort().map((c) => (
        <span key={c} className="sensitive">
          <Bytes of={word(c)} />
        </span>
      ))}
    </>
  );
}
