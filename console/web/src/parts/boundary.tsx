import { Component, type ReactNode } from "react";

import { Notice } from "./notice";

// Boundary keeps a fault of one page from taking the whole console with it.
export class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <Notice title="This page has a fault">
        <p>What it should show could not be drawn; nothing is lost. Please report it with the address of this page.</p>
        <button type="button" onClick={() => location.reload()}>
          Load it again
        </button>
      </Notice>
    );
  }
}
