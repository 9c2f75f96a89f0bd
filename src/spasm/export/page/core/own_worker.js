// Workers that the page's policy binds. A worker that is loaded from an address has the policy that the server sends with
// its file, often none; one that is made from a blob inherits the page's. So a worker begins as a blob of one line that
// loads the file, and what runs in it, MediaPipe and ONNX Runtime too, can fetch from the page's own server alone.
export function ownWorker(url, { isModule = false } = {}) {
  const address = JSON.stringify(new URL(url).href);
  const line = isModule ? `import ${address};` : `importScripts(${address});`;
  const blob = URL.createObjectURL(new Blob([line], { type: "text/javascript" }));  // never revoked: some browsers read it late
  return new Worker(blob, isModule ? { type: "module" } : {});
}
