// Attack text is written to be misread: it is shown byte by byte, and what is not plainly printable becomes an escape.

// A run is either text as it is, or escapes. The page shows the two differently, so that the six typed
// characters "\x1b" cannot pass for one escape byte.
export type Run = { text: string; escaped: boolean };

// Categories that hide, reorder or control, and letters that are drawn as nothing. Blanks other than the ordinary space are
// among them: they look like it.
const hidden = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Variation_Selector}\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]/u;
const blank = /\p{Zs}/u;
const combining = /\p{M}/u;

// More marks than this on one letter serve nobody but who wants to cover the lines around.
const mostMarks = 2;

// runs decodes UTF-8 where it is valid. With `lines`, line ends and tabs stay what they are; else they are escapes too.
export function runs(bytes: Uint8Array, lines = false): Run[] {
  const out: Run[] = [];
  const put = (text: string, escaped: boolean) => {
    const last = out[out.length - 1];
    if (last?.escaped === escaped) last.text += text;
    else out.push({ text, escaped });
  };
  let marks = 0;
  for (let i = 0; i < bytes.length; ) {
    const [point, size] = decode(bytes, i);
    i += size;
    if (point < 0) {
      put(hex(bytes[i - 1] ?? 0), true);
      marks = mostMarks;
      continue;
    }
    const char = String.fromCodePoint(point);
    const mark = combining.test(char);
    marks = mark ? marks + 1 : 0;
    if (lines && (char === "\n" || char === "\t")) put(char, false);
    else if (hidden.test(char) || (blank.test(char) && char !== " ") || (mark && (marks > mostMarks || out.length === 0))) put(escape(point), true);
    else put(char, false);
  }
  return out;
}

// line is runs as plain text: for titles and other places that hold a string.
export function line(text: string): string {
  return runs(new TextEncoder().encode(text))
    .map((run) => run.text)
    .join("");
}

function escape(point: number): string {
  switch (point) {
    case 0x0a:
      return "\\n";
    case 0x0d:
      return "\\r";
    case 0x09:
      return "\\t";
    default:
      // \xNN above 7f is a byte that is no UTF-8; a character is never written so.
      return point < 0x80 ? hex(point) : "\\u{" + point.toString(16) + "}";
  }
}

function hex(b: number): string {
  return "\\x" + b.toString(16).padStart(2, "0");
}

const invalid: [number, number] = [-1, 1];

// decode gives the code point at i and its length; a byte that starts no valid sequence is -1.
function decode(b: Uint8Array, i: number): [number, number] {
  const first = b[i] ?? 0;
  if (first < 0x80) return [first, 1];
  const size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || i + size > b.length) return invalid;
  let point = first & (0x7f >> size);
  for (let n = 1; n < size; n++) {
    const next = b[i + n] ?? 0;
    if ((next & 0xc0) !== 0x80) return invalid;
    point = (point << 6) | (next & 0x3f);
  }
  const least = [0, 0, 0x80, 0x800, 0x10000][size] ?? 0;
  const surrogate = point >= 0xd800 && point <= 0xdfff;
  return point < least || point > 0x10ffff || surrogate ? invalid : [point, size];
}
