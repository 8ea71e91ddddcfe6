import { count } from "../quantity";

// Answers shows how the status classes share the requests: a bar for the eye, the numbers beside it.
export function Answers(props: { counts: bigint[]; long?: boolean }) {
  const all = props.counts.reduce((sum, n) => sum + n, 0n);
  if (all === 0n) return <span className="quiet">none seen</span>;
  const shares = props.counts.map((n, i) => ({ name: `${i + 1}xx`, style: `c${i + 1}`, n })).filter((s) => s.n > 0n);
  let x = 0;
  return (
    <span className="shares">
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        {shares.map((s) => {
          const width = Number((s.n * 10000n) / all) / 100;
          x += width;
          return <rect key={s.name} className={s.style} x={x - width} y="0" width={Math.max(width, 1.5)} height="6" />;
        })}
      </svg>
      <span>
        {shares.map((s) => (
          <span key={s.name} className={"share " + s.style} title={`${count(s.n)} answers ${s.name}`}>
            {s.name} <b>{props.long ? count(s.n) : percent(s.n, all)}</b>
          </span>
        ))}
      </span>
    </span>
  );
}

// percent never rounds something to nothing or to all.
function percent(n: bigint, all: bigint): string {
  if (n === all) return "100 %";
  const p = Math.round((Number(n) / Number(all)) * 100);
  return p < 1 ? "<1 %" : p > 99 ? ">99 %" : `${p} %`;
}
