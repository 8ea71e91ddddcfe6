import { type ReactNode, useEffect, useId, useRef, useState } from "react";

type Props = {
  // What the button says, and what it says to who cannot see the row that it is in.
  open: string;
  label?: string;
  className?: string;
  title: ReactNode;
  children: (close: () => void) => ReactNode;
};

// Dialog is a button and the modal box that it opens. What is in the box lives only while it is open, so that nothing that
// was typed or shown there outlasts it. The browser keeps the focus inside, and gives it back.
export function Dialog(props: Props) {
  const box = useRef<HTMLDialogElement>(null);
  const [shown, setShown] = useState(false);
  const title = useId();
  // Only now what is in the box can have the focus.
  useEffect(() => {
    if (shown) box.current?.showModal();
  }, [shown]);
  return (
    <>
      <button type="button" className={props.className} aria-label={props.label} aria-haspopup="dialog" onClick={() => setShown(true)}>
        {props.open}
      </button>
      <dialog ref={box} aria-labelledby={title} onClose={() => setShown(false)}>
        {shown && (
          <>
            <h2 id={title}>{props.title}</h2>
            {props.children(() => box.current?.close())}
          </>
        )}
      </dialog>
    </>
  );
}
