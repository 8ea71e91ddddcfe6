import { useEffect, useRef, useState } from "react";

// Secret is shown this once. Escape does not take it away, since nobody could get it back.
export function Secret(props: { text: string; done: () => void }) {
  const text = useRef<HTMLPreElement>(null);
  const [copied, setCopied] = useState<"yes" | "by hand">();
  useEffect(() => {
    const dialog = text.current?.closest("dialog");
    const stay = (e: Event) => e.preventDefault();
    dialog?.addEventListener("cancel", stay);
    return () => dialog?.removeEventListener("cancel", stay);
  }, []);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(props.text);
      setCopied("yes");
    } catch {
      // Without https a browser has no clipboard, or a person said no.
      if (text.current) getSelection()?.selectAllChildren(text.current);
      setCopied("by hand");
    }
  };
  return (
    <>
      <pre ref={text} className="secret">
        {props.text}
      </pre>
      <p className="quiet" role="status">
        {copied === "by hand" ? "The browser does not let this page copy. The token is selected: copy it by hand." : copied && "Copied."}
      </p>
      <div className="actions">
        <button type="button" onClick={() => void copy()} autoFocus>
          Copy
        </button>
        <button type="button" className="primary" onClick={props.done}>
          Done
        </button>
      </div>
    </>
  );
}
