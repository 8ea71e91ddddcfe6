import { useQuery } from "@connectrpc/connect-query";
import { useState } from "react";

import { type GetPolicyResponse, InstallationService, PolicyService } from "../gen/sidelight/console/v1/ui_pb";
import { useNow } from "../now";
import { Failure, Waiting } from "../parts/notice";
import { Content } from "./content";
import { changed, type Draft, draftOf } from "./draft";
import { PolicyForm } from "./form";
import { History } from "./history";
import { States } from "./states";

// What is being edited is kept by the house, so that a look at another page does not lose it.
type Props = { draft: Draft | undefined; setDraft: (draft: Draft | undefined) => void };

export function PolicyPage(props: Props) {
  const got = useQuery(PolicyService.method.getPolicy, {}, { refetchInterval: 5000 });
  return (
    <section className="list policies">
      {got.isPending && <Waiting />}
      {got.error && <Failure error={got.error} again={() => void got.refetch()} />}
      {got.data && <Body {...props} policy={got.data} />}
    </section>
  );
}

function Body(props: Props & { policy: GetPolicyResponse }) {
  const { sequence, content, states } = props.policy;
  const { draft, setDraft } = props;
  const [published, setPublished] = useState<bigint>();
  const now = useNow(5000);
  const nodes = useQuery(InstallationService.method.listInstallations, {}, { refetchInterval: 5000 });
  const done = (as?: bigint) => {
    setDraft(undefined);
    setPublished(as);
  };
  const edit = () => {
    setPublished(undefined);
    setDraft(draftOf(sequence, content));
  };
  return (
    <>
      <div className="bar">
        <h1>
          Policy <span className="total">{sequence === 0n ? "none published" : `sequence ${sequence}`}</span>
        </h1>
        <p className="quiet" role="status">
          {published !== undefined && `Published as sequence ${published}. What each part makes of it stands beside.`}
        </p>
        {!draft && (
          <button type="button" onClick={edit}>
            Edit
          </button>
        )}
      </div>
      <div className="sides">
        <div>
          {draft ? (
            <PolicyForm draft={draft} dirty={changed(draft, sequence, content)} newest={sequence} set={setDraft} done={done} />
          ) : (
            <>
              {sequence === 0n && (
                <p className="blank">No policy was published yet: every part goes by its built-in defaults and its own configuration. “Edit” makes the first.</p>
              )}
              <Content of={content} />
            </>
          )}
        </div>
        <div>
          <section aria-labelledby="states">
            <h2 id="states">What each part obeys</h2>
            {nodes.error && <Failure error={nodes.error} again={() => void nodes.refetch()} />}
            {nodes.data ? <States states={states} newest={sequence} installations={nodes.data.installations} now={now} /> : nodes.isPending && <Waiting />}
          </section>
          <Earlier newest={sequence} />
        </div>
      </div>
    </>
  );
}

function Earlier(props: { newest: bigint }) {
  const list = useQuery(PolicyService.method.listPolicies, {}, { refetchInterval: 5000 });
  return (
    <section aria-labelledby="sequences">
      <h2 id="sequences">Sequences</h2>
      {list.isPending && <Waiting />}
      {list.error && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.data && list.data.policies.length === 0 && <p className="blank">None was published yet.</p>}
      {list.data && list.data.policies.length > 0 && <History list={list.data.policies} newest={props.newest} />}
    </section>
  );
}
