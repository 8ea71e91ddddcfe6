import type { PartStatus } from "../gen/sidelight/status/v1/status_pb";
import { Bytes } from "../parts/bytes";
import { count, size } from "../quantity";
import { word } from "../words";

// Counters shows what each part counted since it started.
export function Counters(props: { parts: PartStatus[] }) {
  return (
    <details>
      <summary>Counters since each part started</summary>
      <table className="counted" aria-label="Counters">
        <thead>
          <tr>
            <th scope="col">Part</th>
            <th scope="col">Runs on</th>
            <th scope="col">Counted</th>
          </tr>
        </thead>
        <tbody>
          {props.parts.map((p) => (
            <tr key={p.part + "/" + p.instance}>
              <th scope="row">
                <Bytes of={p.part} />
              </th>
              <td>
                <Bytes of={p.instance} />
              </td>
              <td>
                {p.counters.length === 0 && <span className="quiet">nothing reported</span>}
                <ul>
                  {p.counters.map((c) => (
                    <li key={c.name}>
                      <Bytes of={word(c.name)} /> <b>{amount(c.name, c.value)}</b>
                    </li>
                  ))}
                </ul>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

function amount(name: string, n: bigint): string {
  return /(^|_)bytes(_|$)/.test(name) && n >= 0n ? size(n) : count(n);
}
