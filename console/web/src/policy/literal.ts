// The body of a case is bytes, and a text box holds text: what is not plainly printable is written as an escape, so that
// nothing is lost between the two.
import { runs } from "../bytes";

// write gives text that read turns into the very same bytes.
export function write(bytes: Uint8Array): string {
  return runs(bytes, true)
    .map((run) => (run.escaped ? run.text : run.text.replaceAll("\\", "\\\\")))
    .join("");
}

const escape = /\\(?:\\|[nrt]|x[0-9a-fA-F]{2}|u\{[0-9a-fA-F]{1,6}\})/y;
const utf8 = new TextEncoder();

// read says in its error what is no escape.
export function read(text: string): Uint8Array {
  const out: number[] = [];
  for (let i = 0; i < text.length; ) {
    const at = text.indexOf("\\", i);
    for (const byte of utf8.encode(text.slice(i, at < 0 ? text.length : at))) out.push(byte);
    if (at < 0) break;
    escape.lastIndex = at;
    const found = escape.exec(text)?.[0];
    if (found === undefined) throw new Error(`“${text.slice(at, at + 4)}” is no escape: write \\\\ for a backslash`);
    out.push(...value(found));
    i = at + found.length;
  }
  return Uint8Array.from(out);
}

const plain: Record<string, number> = { "\\\\": 0x5c, "\\n": 0x0a, "\\r": 0x0d, "\\t": 0x09 };

function value(escaped: string): Iterable<number> {
  const byte = plain[escaped];
  if (byte !== undefined) return [byte];
  const point = parseInt(escaped.replace(/[^0-9a-fA-F]/g, ""), 16);
  if (escaped.startsWith("\\x")) return [point];
  if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) throw new Error(`“${escaped}” is no character`);
  return utf8.encode(String.fromCodePoint(point));
}
