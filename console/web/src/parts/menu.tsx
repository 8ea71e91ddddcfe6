import { type ReactNode, useEffect, useRef } from "react";

// Menu is a button that opens a box below it. A click elsewhere or Escape closes it.
export function Menu(props: { label: string; children: ReactNode }) {
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const shut = () => {
      if (box.current) box.current.open = false;
    };
    const click = (e: PointerEvent) => {
      if (e.target instanceof Node && !box.current?.contains(e.target)) shut();
    };
    const key = (e: KeyboardEvent) => {
      if (e.key !== "Escape" || !box.current?.open) return;
      e.preventDefault();
      shut();
      box.current.querySelector("summary")?.focus();
    };
    addEventListener("pointerdown", click);
    addEventListener("keydown", key, { capture: true });
    return () => {
      removeEventListener("pointerdown", click);
      removeEventListener("keydown", key, { capture: true });
    };
  }, []);
  return (
    <details className="menu" ref={box}>
      <summary className="field">{props.label}</summary>
      <div className="sheet">{props.children}</div>
    </details>
  );
}
