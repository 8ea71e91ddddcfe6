// Attack text is written to be misread: it is shown byte by byte, and what is not plainly printable is an escape.

// pieces cuts the evidence into what stands before the match, the match, and what stands behind.
export function pieces(text: Uint8Array, textOffset: bigint, offset: bigint, length: bigint): [Uint8Array, Uint8Array, Uint8Array] {
  const clamp = (n: bigint) => Number(n < 0n ? 0n : n > BigInt(text.length) ? BigInt(text.length) : n);
  const start = clamp(offset - textOffset);
  const end = clamp(offset - textOffset + length);
  return [text.subarray(0, start), text.subarray(start, end), text.subarray(end)];
}

const hidden = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Variation_Selector}\u115f\u1160\u3164\uffa0]/u;

// show decodes UTF-8 where it is valid and writes \xNN for all else; a line's end is shown, and kept as one.
export function show(bytes: Uint8Array): string {
  let out = "";
  for (let i = 0; i < bytes.length; ) {
    const size = sequence(bytes, i);
    if (size === 0) {
      out += escape(bytes[i] ?? 0);
      i++;
      continue;
    }
    const char = new TextDecoder().decode(bytes.subarray(i, i + size));
    if (char === "\n") out += "\n";
    else if (char === "\r") out += bytes[i + 1] === 0x0a ? "" : "\\r";
    else if (char === "\t") out += "\\t";
    else if (char === "" || hidden.test(char)) for (const b of bytes.subarray(i, i + size)) out += escape(b);
    else out += char;
    i += size;
  }
  return out;
}

// line is show without line ends: for places that hold one line.
export function line(bytes: Uint8Array): string {
  return show(bytes).replaceAll("\n", "\\n");
}

function escape(b: number): string {
  return "\\x" + b.toString(16).padStart(2, "0");
}

// sequence gives the length of the valid UTF-8 sequence at i, 0 if there is none.
function sequence(b: Uint8Array, i: number): number {
  const first = b[i] ?? 0;
  if (first < 0x80) return 1;
  const size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (size === 0 || i + size > b.length) return 0;
  try {
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(b.subarray(i, i + size));
    return size;
  } catch {
    return 0;
  }
}
