import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Names without hashes and one chunk each: the bundle is committed, and CI builds it again and compares.
export default defineConfig({
  plugins: [react()],
  build: {
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: { entryFileNames: "assets/app.js", chunkFileNames: "assets/[name].js", assetFileNames: "assets/app[extname]" },
    },
  },
});
