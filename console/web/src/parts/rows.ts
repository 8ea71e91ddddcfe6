import type { KeyboardEvent } from "react";

// stepRows lets the arrow keys go from row to row of a table whose rows are links.
export function stepRows(e: KeyboardEvent<HTMLElement>): void {
  if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return;
  const links = [...e.currentTarget.querySelectorAll<HTMLElement>("tbody a.row")];
  const at = links.findIndex((link) => link === document.activeElement);
  const next = links[at + (e.key === "ArrowDown" ? 1 : -1)];
  if (at < 0 || !next) return;
  e.preventDefault();
  next.focus();
}
