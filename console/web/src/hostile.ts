// Text that is written to be misread, for the tests of everything that shows names from the wire. The Go side has the same
// in internal/testkit/hostile.
export const hostile = [
  "<script>window.pwned=1</script>",
  '"><img src=x onerror=window.pwned=1>',
  "<svg/onload=window.pwned=1>",
  "</td></tr></table><iframe src=javascript:alert(1)>",
  "</textarea><script>window.pwned=1</script>",
  "javascript:window.pwned=1",
  "{{7*7}}${7*7}",
  "&lt;b&gt;",
  "a\u202eb\u2066c",
  "zero\u200bwidth\ufeff\u00ad",
  "\u001b[31mred\u001b[0m\u009b31m",
  "nul\u0000byte",
  "new\nline\r\n\u2028\u2029\u0085",
  "\u3164hidden\u2800",
  "e\u0301\u0302\u0303\u0304",
  "x".repeat(3000),
];

// unseen are the characters of it that a page must never hold as they are.
export const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff]/;

// tags gives the names of all elements of a piece of markup.
export function tags(html: string): string[] {
  return [...new Set([...html.matchAll(/<([a-z][^\s/>]*)/gi)].map(([, name]) => (name ?? "").toLowerCase()))].sort();
}
