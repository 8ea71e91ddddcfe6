import { Fragment } from "react";

import type { EndpointParameter } from "../gen/sidelight/inventory/v1/endpoint_pb";
import { Bytes } from "../parts/bytes";
import { count } from "../quantity";
import { location, valueType } from "../words";
import { Classes } from "./labels";

// Parameters are grouped by where in the request they are, in the order in which a request has them.
export function Parameters(props: { list: EndpointParameter[] }) {
  if (props.list.length === 0) return <p className="quiet">None seen.</p>;
  const places = [...new Set(props.list.map((p) => p.location))].sort((a, b) => a - b);
  return (
    <table className="parameters">
      <thead>
        <tr>
          <th>Name</th>
          <th>Type</th>
          <th>Sensitive</th>
          <th className="number">Seen</th>
        </tr>
      </thead>
      <tbody>
        {places.map((place) => (
          <Fragment key={place}>
            <tr className="group">
              <th colSpan={4} scope="rowgroup">
                {location(place)}
              </th>
            </tr>
            {props.list
              .filter((p) => p.location === place)
              .sort((a, b) => (a.name < b.name ? -1 : 1))
              .map((p) => (
                <Row key={p.name} of={p} />
              ))}
          </Fragment>
        ))}
      </tbody>
    </table>
  );
}

function Row(props: { of: EndpointParameter }) {
  const p = props.of;
  return (
    <tr>
      <td className="name">
        <code>
          <Bytes of={p.name} />
        </code>
        {p.required && <span className="required">required</span>}
      </td>
      <td>{p.types.map(valueType).join(" or ")}</td>
      <td>
        <Classes of={p.classes} />
      </td>
      <td className="number">{count(p.seenCount)}</td>
    </tr>
  );
}
