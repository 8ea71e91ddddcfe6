// Method is a badge. An attacker may send any word: only known ones have a colour.
export function Method(props: { name: string }) {
  const known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].includes(props.name);
  return <span className={"method " + (known ? props.name.toLowerCase() : "other")}>{props.name.slice(0, 16)}</span>;
}
