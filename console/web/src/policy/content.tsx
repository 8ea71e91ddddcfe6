import type { ReactNode } from "react";

import type { PolicyContent } from "../gen/sidelight/console/v1/ui_pb";
import type { Rule, RuleCase } from "../gen/sidelight/policy/v1/policy_pb";
import { Bytes } from "../parts/bytes";
import { count, size } from "../quantity";

// Content shows what the policy holds. What it does not hold is the built-in default.
export function Content(props: { of: PolicyContent | undefined }) {
  const c = props.of;
  const rules = c?.rules?.rules ?? [];
  return (
    <div className="content">
      <Piece title="Masks" about="Values at these points are masked before they leave the processor, beside the built-in ones.">
        <Names list={c?.masks?.points ?? []} none="only the built-in ones" />
      </Piece>
      <Piece title="Trusted ranges" about="Proxies whose X-Forwarded-For, Forwarded and X-Real-IP are believed, beside those in the aggregator's configuration.">
        <Names list={c?.trustedCidrs?.cidrs ?? []} none="only those of the configuration" />
      </Piece>
      <Piece title="Budgets" about="What agents copy of each message; of a response, its head.">
        <dl>
          <dt>Request</dt>
          <dd>{budget(c?.budgets?.request)}</dd>
          <dt>Response</dt>
          <dd>{budget(c?.budgets?.response)}</dd>
        </dl>
      </Piece>
      <Piece title={`Rules ${rules.length > 0 ? count(rules.length) : ""}`} about="Own detection rules, beside the built-in ones, each with the cases that prove it.">
        {rules.length === 0 && <p>only the built-in ones</p>}
        {rules.map((r, i) => (
          <OwnRule key={i} of={r} n={i + 1} />
        ))}
      </Piece>
    </div>
  );
}

function budget(n: bigint | undefined): string {
  return n ? `${size(n)} (${count(n)} bytes)` : "the agent's default";
}

function Piece(props: { title: string; about: string; children: ReactNode }) {
  return (
    <section className="piece">
      <h3>{props.title}</h3>
      <p className="quiet">{props.about}</p>
      {props.children}
    </section>
  );
}

function Names(props: { list: string[]; none: string }) {
  if (props.list.length === 0) return <p>{props.none}</p>;
  return (
    <ul className="names">
      {props.list.map((name, i) => (
        <li key={i} className="chip">
          <code>
            <Bytes of={name} />
          </code>
        </li>
      ))}
    </ul>
  );
}

function OwnRule(props: { of: Rule; n: number }) {
  return (
    <section className="rule" aria-label={`Rule ${props.n}`}>
      <h4>Rule {props.n}</h4>
      <pre>
        <Bytes of={props.of.seclang} lines />
      </pre>
      <table aria-label={`Cases of rule ${props.n}`}>
        <thead>
          <tr>
            <th scope="col">Case</th>
            <th scope="col">The rule</th>
            <th scope="col">Request</th>
          </tr>
        </thead>
        <tbody>
          {props.of.cases.map((c, i) => (
            <Case key={i} of={c} n={i + 1} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Case(props: { of: RuleCase; n: number }) {
  const c = props.of;
  return (
    <tr>
      <th scope="row">{props.n}</th>
      <td>{c.hit ? "must match" : "must not match"}</td>
      <td className="request">
        <code>
          <Bytes of={`${c.method} ${c.target}`} />
          {c.headers.map((h, i) => (
            <span key={i} className="header">
              <Bytes of={h} />
            </span>
          ))}
        </code>
        {c.body.length > 0 && (
          <pre>
            <Bytes of={c.body} lines />
          </pre>
        )}
      </td>
    </tr>
  );
}
