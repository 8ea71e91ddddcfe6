import type { ReactNode } from "react";

import { Area, Unseen } from "./area";
import { type CaseDraft, newCase, newRule, type RuleDraft } from "./draft";

type Of<T> = { of: T; n: number; set: (to: T) => void; remove: () => void };

// RuleBoxes edits the rules. They have the numbers that the console names them by when it finds something wrong.
export function RuleBoxes(props: { list: RuleDraft[]; set: (list: RuleDraft[]) => void }) {
  return (
    <fieldset className="piece">
      <legend>Rules</legend>
      <p className="quiet">
        SecLang, with ids from 9,000,000 to 9,999,999. Each needs a case that it must match and one that it must not. Every processor compiles them and tries the cases; one
        that fails refuses the whole policy, and goes on with what it has.
      </p>
      <Each list={props.list} set={props.set} part={(p) => <RuleBox {...p} />} />
      <button type="button" onClick={() => props.set([...props.list, newRule()])}>
        Add a rule
      </button>
    </fieldset>
  );
}

// Each draws the items of a list, which can be changed or taken away.
function Each<T extends { key: number }>(props: { list: T[]; set: (list: T[]) => void; part: (props: Of<T> & { key: number }) => ReactNode }) {
  return props.list.map((item, i) =>
    props.part({
      key: item.key,
      of: item,
      n: i + 1,
      set: (to) => props.set(props.list.map((other) => (other.key === item.key ? to : other))),
      remove: () => props.set(props.list.filter((other) => other.key !== item.key)),
    }),
  );
}

function RuleBox(props: Of<RuleDraft>) {
  const r = props.of;
  return (
    <fieldset className="rule">
      <legend>Rule {props.n}</legend>
      <Area
        label="SecLang"
        rows={5}
        value={r.seclang}
        set={(seclang) => props.set({ ...r, seclang })}
        required
        placeholder={`SecRule ARGS:pin "@rx ^0000$" "id:9000001,phase:2,pass,log,msg:'default pin',severity:'ERROR'"`}
      />
      <Each list={r.cases} set={(cases) => props.set({ ...r, cases })} part={(p) => <CaseBox {...p} />} />
      <div className="actions">
        <button type="button" className="plain" onClick={props.remove}>
          Remove rule {props.n}
        </button>
        <button type="button" onClick={() => props.set({ ...r, cases: [...r.cases, newCase(true)] })}>
          Add a case
        </button>
      </div>
    </fieldset>
  );
}

function CaseBox(props: Of<CaseDraft>) {
  const c = props.of;
  const put = (change: Partial<CaseDraft>) => props.set({ ...c, ...change });
  return (
    <fieldset className="case">
      <legend>Case {props.n}</legend>
      <div className="row">
        <label>
          The rule
          <select className="field" value={c.hit ? "hit" : "miss"} onChange={(e) => put({ hit: e.target.value === "hit" })}>
            <option value="hit">must match</option>
            <option value="miss">must not match</option>
          </select>
        </label>
        <label>
          Method
          <input value={c.method} onChange={(e) => put({ method: e.target.value })} required size={8} autoComplete="off" />
        </label>
        <label className="grow">
          Path and query
          <input value={c.target} onChange={(e) => put({ target: e.target.value })} required autoComplete="off" spellCheck={false} />
        </label>
        <button type="button" className="plain" onClick={props.remove} aria-label={`Remove case ${props.n}`}>
          Remove
        </button>
      </div>
      <Unseen of={c.method + "\n" + c.target} />
      <div className="row">
        <Area label="Headers" rows={2} value={c.headers} set={(headers) => put({ headers })} placeholder="Content-Type: application/json" hint="One a line, as Name: value." />
        <Area label="Body" rows={2} value={c.body} set={(body) => put({ body })} hint="\r \n \t \x00 and \u{e9} are escapes; \\ is a backslash." />
      </div>
    </fieldset>
  );
}
