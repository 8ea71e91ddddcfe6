import type { MouseEvent, ReactNode } from "react";

import { go } from "../url";

// Link is a real link: it can be opened in a new tab, and moves within the page otherwise.
export function Link(props: { to: string; className?: string; current?: boolean; children: ReactNode }) {
  const click = (e: MouseEvent) => {
    if (e.metaKey || e.ctrlKey || e.shiftKey || e.button !== 0) return;
    e.preventDefault();
    go(props.to);
  };
  return (
    <a href={props.to} className={props.className} onClick={click} aria-current={props.current ? "page" : undefined}>
      {props.children}
    </a>
  );
}
