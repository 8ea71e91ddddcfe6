import { useMutation } from "@connectrpc/connect-query";
import { type FormEvent, useEffect, useState } from "react";

import { PolicyService } from "../gen/sidelight/console/v1/ui_pb";
import { Wrong } from "../parts/wrong";
import { Area, Unseen } from "./area";
import { contentOf, type Draft } from "./draft";
import { refresh } from "./history";
import { RuleBoxes } from "./rules";

type Props = { draft: Draft; dirty: boolean; newest: bigint; set: (draft: Draft) => void; done: (published?: bigint) => void };

export function PolicyForm(props: Props) {
  const { draft: d } = props;
  const [wrong, setWrong] = useState<unknown>();
  const publish = useMutation(PolicyService.method.publishPolicy, {
    onSuccess: (answer) => {
      refresh();
      props.done(answer.sequence);
    },
  });
  useUnsaved(props.dirty);
  const put = (change: Partial<Draft>) => props.set({ ...d, ...change });
  const submit = (e: FormEvent) => {
    e.preventDefault();
    setWrong(undefined);
    publish.reset();
    try {
      publish.mutate({ content: contentOf(d), comment: d.comment.trim(), fromSequence: d.from });
    } catch (error) {
      setWrong(error);
    }
  };
  return (
    <form className="policy" onSubmit={submit} aria-label="Policy">
      {d.from !== props.newest && <Overtaken from={d.from} newest={props.newest} keep={() => put({ from: props.newest })} />}
      <fieldset className="piece">
        <legend>Masks</legend>
        <Area
          label="Points, one a line"
          rows={4}
          value={d.masks}
          set={(masks) => put({ masks })}
          placeholder="header.X-Account"
          hint="Their values are masked before they leave the processor, beside the built-in ones: header.X-Account, query.pin, cookie.sid, body.json.user.iban. A star at the end stands for any rest."
        />
      </fieldset>
      <fieldset className="piece">
        <legend>Trusted ranges</legend>
        <Area
          label="Address ranges, one a line"
          rows={3}
          value={d.cidrs}
          set={(cidrs) => put({ cidrs })}
          placeholder="10.0.0.0/8"
          hint="Proxies whose X-Forwarded-For, Forwarded and X-Real-IP are believed. Who is in here can say to be any client."
        />
      </fieldset>
      <fieldset className="piece">
        <legend>Budgets</legend>
        <div className="row">
          <label>
            Bytes of a request
            <input value={d.request} onChange={(e) => put({ request: e.target.value })} inputMode="numeric" autoComplete="off" placeholder="the agent's default" />
          </label>
          <label>
            Bytes of a response&apos;s head
            <input value={d.response} onChange={(e) => put({ response: e.target.value })} inputMode="numeric" autoComplete="off" placeholder="the agent's default" />
          </label>
        </div>
        <p className="quiet">What agents copy of each message. What is beyond is not seen by any rule.</p>
      </fieldset>
      <RuleBoxes list={d.rules} set={(rules) => put({ rules })} />
      <fieldset className="piece">
        <legend>Publish</legend>
        <label>
          Why, for those who read it later
          <input value={d.comment} onChange={(e) => put({ comment: e.target.value })} required maxLength={1024} autoComplete="off" />
        </label>
        <Unseen of={d.comment} />
        <Wrong error={wrong ?? publish.error} />
        <div className="actions">
          <button type="button" onClick={() => props.done()}>
            {props.dirty ? "Discard the changes" : "Cancel"}
          </button>
          <button className="primary" disabled={publish.isPending}>
            {publish.isPending ? "Publishing…" : `Publish as sequence ${props.newest + 1n}`}
          </button>
        </div>
      </fieldset>
    </form>
  );
}

// Overtaken: somebody else published while this was written.
function Overtaken(props: { from: bigint; newest: bigint; keep: () => void }) {
  return (
    <div className="notice failure" role="alert">
      <p>
        Sequence {String(props.newest)} was published meanwhile; this was made from {String(props.from)}. To see what the other holds, discard this. To publish this instead of
        it, so that what it changed is gone, say so:
      </p>
      <button type="button" onClick={props.keep}>
        Put this in the place of sequence {String(props.newest)}
      </button>
    </div>
  );
}

// useUnsaved has the browser ask before it leaves the page.
function useUnsaved(dirty: boolean): void {
  useEffect(() => {
    if (!dirty) return;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [dirty]);
}
