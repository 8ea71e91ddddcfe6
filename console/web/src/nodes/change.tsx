import { useMutation } from "@connectrpc/connect-query";

import { installations } from "../api";
import { line } from "../bytes";
import { InstallationService, type Token } from "../gen/sidelight/console/v1/ui_pb";
import { Bytes } from "../parts/bytes";
import { Confirm } from "../parts/confirm";
import { Dialog } from "../parts/dialog";
import { Secret } from "../parts/secret";
import { Wrong } from "../parts/wrong";
import { plural } from "../quantity";
import { refresh } from "./refresh";

const registered = (t: Token) => plural(t.installations, "node that registered with it is", "nodes that registered with it are");

// Regenerate gives a token a new secret, also one that was revoked.
export function Regenerate(props: { of: Token }) {
  const t = props.of;
  return (
    <Dialog
      open="Regenerate"
      className="small"
      label={`Regenerate the token ${line(t.name)}`}
      title={
        <>
          Regenerate <Bytes of={t.name} />
        </>
      }
    >
      {(close) => <NewSecret of={t} close={close} />}
    </Dialog>
  );
}

function NewSecret(props: { of: Token; close: () => void }) {
  const t = props.of;
  const make = useMutation(InstallationService.method.regenerateToken, { onSuccess: refresh });
  if (make.data) {
    return (
      <>
        <p>This is the new secret of the token. It is shown this once; give it to the nodes that should register with it.</p>
        <Secret text={make.data.token} done={props.close} />
      </>
    );
  }
  return (
    <div className="question">
      <ul className="will">
        <li>It gets a new secret under the same name, which is shown once.</li>
        <li>{t.revoked ? "It was revoked: with the new secret, nodes can register again." : "The old secret ends at once."}</li>
        {!t.revoked && <li>{registered(t)} cut off at the next call, and must register again with the new one. Until then, what they detect stays in their own journals.</li>}
      </ul>
      <Wrong error={make.error} />
      <div className="actions">
        <button type="button" onClick={props.close}>
          Cancel
        </button>
        <button type="button" className="primary danger" aria-busy={make.isPending} onClick={() => make.isPending || make.mutate({ tokenId: t.id })}>
          Regenerate it
        </button>
      </div>
    </div>
  );
}

export function Revoke(props: { of: Token }) {
  const t = props.of;
  return (
    <Confirm
      open="Revoke"
      label={`Revoke the token ${line(t.name)}`}
      title={
        <>
          Revoke <Bytes of={t.name} />?
        </>
      }
      action="Revoke it"
      run={() => installations.revokeToken({ tokenId: t.id }).then(refresh)}
    >
      <ul className="will">
        <li>No node can register with it any more.</li>
        <li>{registered(t)} cut off at the next call. What they detect stays in their own journals and is not shown here; what they sent before stays here.</li>
        <li>To let them back in, regenerate it and give them the new secret.</li>
      </ul>
    </Confirm>
  );
}
