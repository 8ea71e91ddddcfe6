import { useMutation } from "@connectrpc/connect-query";
import { type FormEvent, useState } from "react";

import { InstallationService } from "../gen/sidelight/console/v1/ui_pb";
import { Dialog } from "../parts/dialog";
import { Secret } from "../parts/secret";
import { Wrong } from "../parts/wrong";
import { refresh } from "./refresh";

// NewToken makes a token for new nodes. The console keeps only its hash, so it is shown this once.
export function NewToken() {
  return (
    <Dialog open="Add a node" title="Add a node">
      {(close) => <Form close={close} />}
    </Dialog>
  );
}

function Form(props: { close: () => void }) {
  const [name, setName] = useState("");
  const make = useMutation(InstallationService.method.createToken, { onSuccess: refresh });
  if (make.data) {
    return (
      <>
        <p>Give this token to the new node. It is shown this once.</p>
        <Secret text={make.data.token} done={props.close} />
      </>
    );
  }
  const submit = (e: FormEvent) => {
    e.preventDefault();
    make.mutate({ name });
  };
  return (
    <form onSubmit={submit}>
      <label>
        Name of the token
        <input value={name} onChange={(e) => setName(e.target.value)} required maxLength={256} placeholder="prod-eu" autoComplete="off" />
      </label>
      <p className="quiet">A name to find it again. One token may register many nodes.</p>
      <Wrong error={make.error} />
      <div className="actions">
        <button type="button" onClick={props.close}>
          Cancel
        </button>
        <button className="primary" disabled={make.isPending}>
          Make the token
        </button>
      </div>
    </form>
  );
}
