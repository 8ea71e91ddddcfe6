// Numbers and times as people read them. The page is in English, so its numbers are too.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";

const numbers = new Intl.NumberFormat("en");

export function count(n: bigint | number): string {
  return numbers.format(n);
}

// plural gives "1 hit", "2 hits".
export function plural(n: bigint | number, one: string, many = one + "s"): string {
  return `${count(n)} ${BigInt(n) === 1n ? one : many}`;
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

export function size(bytes: bigint): string {
  let n = Number(bytes);
  let unit = 0;
  for (; n >= 1024 && unit < units.length - 1; unit++) n /= 1024;
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

const two = (n: number) => String(n).padStart(2, "0");
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// moment is the local time, with the day if that is not today.
export function moment(t: Timestamp, now: number): string {
  const d = timestampDate(t);
  const today = new Date(now);
  const clock = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  if (d.toDateString() === today.toDateString()) return clock;
  const year = d.getFullYear() === today.getFullYear() ? "" : ` ${d.getFullYear()}`;
  return `${two(d.getDate())} ${months[d.getMonth()]}${year} ${clock}`;
}

// duration is a length of time. What lasted is never rounded to nothing.
export function duration(ms: number): string {
  if (ms <= 0) return "none";
  if (ms < 1000) return "under 1 s";
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  const [big, small, one, other] = s < 3600 ? [60, 1, "min", "s"] : s < 86400 ? [3600, 60, "h", "min"] : [86400, 3600, "d", "h"];
  const rest = Math.floor((s % big) / small);
  return `${Math.floor(s / big)} ${one}${rest > 0 ? ` ${rest} ${other}` : ""}`;
}

export function ago(t: Timestamp, now: number): string {
  const seconds = Math.max(0, Math.round((now - timestampDate(t).getTime()) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}
