import { useMutation } from "@connectrpc/connect-query";
import { type FormEvent, useRef, useState } from "react";

import { sentence } from "../api";
import { InstallationService } from "../gen/sidelight/console/v1/ui_pb";

// NewToken makes a token for a new node. The console keeps only its hash, so it is shown this once.
export function NewToken() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [name, setName] = useState("");
  const [copied, setCopied] = useState(false);
  const make = useMutation(InstallationService.method.createToken);
  const token = make.data?.token;
  const submit = (e: FormEvent) => {
    e.preventDefault();
    make.mutate({ name });
  };
  const forget = () => {
    make.reset();
    setName("");
    setCopied(false);
  };
  return (
    <>
      <button type="button" onClick={() => dialog.current?.showModal()}>
        Add a node
      </button>
      <dialog ref={dialog} aria-label="Add a node" onClose={forget}>
        <h2>Add a node</h2>
        {token === undefined ? (
          <form onSubmit={submit}>
            <label>
              Name of the token
              <input value={name} onChange={(e) => setName(e.target.value)} required maxLength={256} placeholder="prod-eu" />
            </label>
            <p className="quiet">A name to find it again. One token may register many nodes.</p>
            {make.error && (
              <p className="wrong" role="alert">
                {sentence(make.error)}
              </p>
            )}
            <div className="actions">
              <button type="button" onClick={() => dialog.current?.close()}>
                Cancel
              </button>
              <button className="primary" disabled={make.isPending}>
                Make the token
              </button>
            </div>
          </form>
        ) : (
          <>
            <p>Give this token to the new node. It is shown this once.</p>
            <pre>{token}</pre>
            <div className="actions">
              <button type="button" onClick={() => void navigator.clipboard.writeText(token).then(() => setCopied(true))}>
                {copied ? "Copied" : "Copy"}
              </button>
              <button type="button" className="primary" onClick={() => dialog.current?.close()}>
                Done
              </button>
            </div>
          </>
        )}
      </dialog>
    </>
  );
}
