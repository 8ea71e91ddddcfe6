import { TransportProvider } from "@connectrpc/connect-query";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { queries, transport } from "./api";
import { App } from "./app";
import "./style/base.css";
import "./style/frame.css";
import "./style/table.css";
import "./style/panel.css";
import "./style/labels.css";
import "./style/nodes.css";
import "./style/coverage.css";
import "./style/policy.css";

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <TransportProvider transport={transport}>
        <QueryClientProvider client={queries}>
          <App />
        </QueryClientProvider>
      </TransportProvider>
    </StrictMode>,
  );
}
