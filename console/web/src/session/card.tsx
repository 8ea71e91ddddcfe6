import type { ReactNode } from "react";

export function Card(props: { title: string; children: ReactNode }) {
  return (
    <main className="card">
      <p className="brand">
        <img src="/icon.svg" alt="" width={28} height={28} /> Sidelight
      </p>
      <h1>{props.title}</h1>
      {props.children}
    </main>
  );
}
