import { line } from "../bytes";

// Choice picks one of a few values; the empty one stands for all.
export function Choice(props: { label: string; all: string; value: string; options: [value: string, text: string][]; pick: (value: string) => void }) {
  const known = props.value === "" || props.options.some(([value]) => value === props.value);
  return (
    <select className={props.value ? "field set" : "field"} aria-label={props.label} value={props.value} onChange={(e) => props.pick(e.target.value)}>
      <option value="">{props.all}</option>
      {!known && <option value={props.value}>{line(props.value)}</option>}
      {props.options.map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  );
}
