import { line } from "../bytes";

const known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

// Method is a badge. A client may send any word: only known ones have a colour.
export function Method(props: { name: string }) {
  const colour = known.includes(props.name) ? props.name.toLowerCase() : "other";
  const text = line(props.name);
  return (
    <span className={"method " + colour} title={text.length > 12 ? text : undefined}>
      {text.length > 12 ? text.slice(0, 11) + "…" : text || "–"}
    </span>
  );
}
