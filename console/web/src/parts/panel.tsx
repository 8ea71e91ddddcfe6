import { type ReactNode, useEffect, useRef } from "react";

import { go } from "../url";
import { Link } from "./link";

// Panel is the detail beside a list. It takes the focus when it opens; Escape closes it and gives the focus back to its row.
export function Panel(props: { label: string; back: string; close: string; children: ReactNode }) {
  const box = useRef<HTMLElement>(null);
  const { close } = props;
  useEffect(() => {
    box.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if (e.key !== "Escape" || e.defaultPrevented || document.querySelector("dialog[open], details.menu[open]")) return;
      const row = document.querySelector<HTMLElement>("tr.selected a");
      go(close);
      row?.focus({ preventScroll: true });
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, [close]);
  return (
    <aside className="panel" aria-label={props.label} tabIndex={-1} ref={box}>
      <Link to={close} className="close">
        <span className="back">← {props.back}</span>
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
          <path d="M3.5 3.5l9 9m0-9l-9 9" />
        </svg>
        <span className="unseen">Close</span>
      </Link>
      {props.children}
    </aside>
  );
}
