// The place of a match within its value, as an Evidence message says it.

export type Slices = {
  before: Uint8Array;
  match: Uint8Array;
  after: Uint8Array;
  // Bytes of the value before the text, and bytes of the match beyond it, that were not sent.
  skipped: bigint;
  cut: bigint;
};

type Place = { text: Uint8Array; textOffset: bigint; offset: bigint; length: bigint };

// slices cuts the text at the match, [offset - textOffset, +length). Whatever the numbers say, the three parts together
// are the text.
export function slices(e: Place): Slices {
  const size = BigInt(e.text.length);
  const clamp = (n: bigint) => (n < 0n ? 0n : n > size ? size : n);
  const from = e.offset - e.textOffset;
  const start = clamp(from);
  const end = clamp(from + e.length);
  const beyond = from + e.length - size;
  return {
    before: e.text.subarray(0, Number(start)),
    match: e.text.subarray(Number(start), Number(end)),
    after: e.text.subarray(Number(end)),
    skipped: e.textOffset,
    cut: beyond > 0n ? beyond : 0n,
  };
}
