import { useQuery } from "@connectrpc/connect-query";

import { line } from "../bytes";
import { InstallationService } from "../gen/sidelight/console/v1/ui_pb";
import { Choice } from "../parts/choice";
import { Menu } from "../parts/menu";
import { found, typeName } from "../types";
import { list, type Query } from "../url";

const hour = 3_600_000;
const spans: Record<string, [ms: number, text: string]> = {
  "15m": [hour / 4, "Last 15 minutes"],
  "1h": [hour, "Last hour"],
  "24h": [24 * hour, "Last 24 hours"],
  "7d": [7 * 24 * hour, "Last 7 days"],
  "30d": [30 * 24 * hour, "Last 30 days"],
};

// spanOf gives the length of a named span; what it does not know is no filter.
export function spanOf(name: string | undefined): number | undefined {
  return name !== undefined && Object.hasOwn(spans, name) ? spans[name]?.[0] : undefined;
}

export function AttackFilters(props: { type?: string; span?: string; cluster?: string; set: (change: Query) => void }) {
  const types = list(props.type);
  const nodes = useQuery(InstallationService.method.listInstallations, {});
  const clusters = nodes.data?.installations.map((i) => i.cluster) ?? [];
  const toggle = (type: string) => props.set({ type: (types.includes(type) ? types.filter((t) => t !== type) : [...types, type]).join(",") });
  const label = types.length === 0 ? "All types" : types.length === 1 ? line(typeName(types[0] ?? "")) : `${types.length} types`;
  return (
    <div className="filters" role="group" aria-label="Filters">
      <Menu label={label}>
        <fieldset>
          <legend className="unseen">Attack types</legend>
          {[...new Set([...found, ...types])].map((type) => (
            <label key={type}>
              <input type="checkbox" checked={types.includes(type)} onChange={() => toggle(type)} />
              {line(typeName(type))}
              <code className="quiet">{line(type)}</code>
            </label>
          ))}
        </fieldset>
      </Menu>
      <Choice
        label="Time"
        all="Any time"
        value={spanOf(props.span) ? (props.span ?? "") : ""}
        options={Object.entries(spans).map(([name, [, text]]) => [name, text])}
        pick={(span) => props.set({ span })}
      />
      {(clusters.length > 1 || props.cluster) && (
        <Choice label="Node" all="All nodes" value={props.cluster ?? ""} options={clusters.map((c) => [c, line(c)])} pick={(cluster) => props.set({ cluster })} />
      )}
      {(types.length > 0 || props.span || props.cluster) && (
        <button type="button" className="plain" onClick={() => props.set({ type: undefined, span: undefined, cluster: undefined })}>
          Clear
        </button>
      )}
    </div>
  );
}
