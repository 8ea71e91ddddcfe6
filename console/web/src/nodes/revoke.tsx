import { installations } from "../api";
import { line } from "../bytes";
import type { Installation } from "../gen/sidelight/console/v1/ui_pb";
import { Bytes } from "../parts/bytes";
import { Confirm } from "../parts/confirm";
import { refresh } from "./refresh";

// RevokeNode cuts one node off, and leaves others of its token alone.
export function RevokeNode(props: { of: Installation; token: string | undefined }) {
  const i = props.of;
  return (
    <Confirm
      open="Revoke"
      label={`Revoke the node ${line(i.cluster)}`}
      title={
        <>
          Revoke <Bytes of={i.cluster} />?
        </>
      }
      action="Revoke it"
      run={() => installations.revokeInstallation({ id: i.id }).then(refresh)}
    >
      <ul className="will">
        <li>It is cut off at its next call. Nothing that it says is taken any more.</li>
        <li>It keeps running. What it detects stays in its own journal and is not shown here; what it sent before stays here.</li>
        <li>
          It gets no new policy. To let it back in, regenerate its token
          {props.token !== undefined && (
            <>
              {" "}
              <b>
                <Bytes of={props.token} />
              </b>
            </>
          )}{" "}
          and give it the new one.
        </li>
      </ul>
    </Confirm>
  );
}
