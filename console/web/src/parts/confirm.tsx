import { useMutation } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { Dialog } from "./dialog";
import { Wrong } from "./wrong";

type Props = {
  open: string;
  label: string;
  title: ReactNode;
  // What the button says that does it.
  action: string;
  harmless?: boolean;
  run: () => Promise<unknown>;
  // What will happen.
  children: ReactNode;
};

// Confirm asks before it does what cannot be taken back. The first button, which has the focus, does nothing.
export function Confirm(props: Props) {
  return (
    <Dialog open={props.open} label={props.label} title={props.title} className="small">
      {(close) => <Question {...props} close={close} />}
    </Dialog>
  );
}

export function Question(props: Omit<Props, "open" | "label" | "title"> & { close: () => void }) {
  const ask = useMutation({ mutationFn: props.run, onSuccess: props.close });
  // A button that is disabled while it waits would lose the focus.
  return (
    <div className="question">
      {props.children}
      <Wrong error={ask.error} />
      <div className="actions">
        <button type="button" onClick={props.close}>
          Cancel
        </button>
        <button type="button" className={props.harmless ? "primary" : "primary danger"} aria-busy={ask.isPending} onClick={() => ask.isPending || ask.mutate()}>
          {props.action}
        </button>
      </div>
    </div>
  );
}
