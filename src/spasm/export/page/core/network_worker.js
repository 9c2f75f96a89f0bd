// The network in a worker of its own, so that the page stays responsive: onnxruntime-web on one thread. It loads its
// files from the page's own folder alone. Messages: {id, kind: "open", modelUrl, ortUrl}, then {id, kind: "predict",
// poses, count, frames}; each gets one reply {id, ...} or {id, problem: {code, values}}.
let session = null, Tensor = null;
let last = Promise.resolve(); // one message at a time: a session runs once at a time

self.onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      const reply = data.kind === "open" ? await open(data) : await predict(data);
      self.postMessage({ id: data.id, ...reply }, Object.values(reply).map((array) => array.buffer));
    } catch (error) {
      const problem = error?.values ? error : { code: data.kind === "open" ? "networkStart" : "networkRun", values: { message: describe(error) } };
      self.postMessage({ id: data.id, problem: { code: problem.code, values: problem.values } });
    }
  });
};

const describe = (error) => String(error?.message ?? error).slice(0, 200);

async function open({ modelUrl, ortUrl }) {
  const ort = await import(ortUrl);
  ort.env.wasm.numThreads = 1; // more would need cross-origin isolation, which a plain web server does not give
  ort.env.wasm.proxy = false;
  ort.env.wasm.wasmPaths = new URL(".", ortUrl).href;
  Tensor = ort.Tensor;
  const response = await fetch(modelUrl).catch(() => ({ ok: false, status: 0 }));
  if (!response.ok) throw { code: "modelMissing", values: { file: modelUrl, status: response.status } };
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  session = await ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()), options);
  return {};
}

// poses (N, T, 33, 5): probability (N,), logit (N,), frameProbability (N, T), attention (N, T).
async function predict({ poses, count, frames }) {
  const input = new Tensor("float32", poses, [count, frames, 33, 5]);
  const found = await session.run({ poses: input });
  const names = { probability: "probability", logit: "logit", frameProbability: "frame_probability", attention: "attention" };
  const reply = Object.fromEntries(Object.entries(names).map(([name, output]) => [name, Float32Array.from(found[output].data)]));
  for (const tensor of [input, ...Object.values(found)]) tensor.dispose();
  return reply;
}
