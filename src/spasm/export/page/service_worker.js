// Keeps every file of this folder at the first visit, and from then on serves these alone: the page works without a
// network, and nothing that runs in it can fetch anything else. files.js, which export_web.py writes, names the files;
// a change of any of them is a new version, which replaces the old one whole, once no page of the old one is open.
"use strict";

importScripts("files.js");

const { version, files } = self.SITE;
const OWN = `${self.registration.scope} `; // other pages of this server have caches of their own
const CACHE = OWN + version;
const TOGETHER = 4; // fetches at a time

self.addEventListener("install", (event) => event.waitUntil(keepAll()));
self.addEventListener("activate", (event) => event.waitUntil(removeOld().then(() => self.clients.claim())));
self.addEventListener("fetch", (event) => event.respondWith(serve(event.request)));

async function keepAll() {
  const cache = await caches.open(CACHE);
  const names = Object.keys(files).values();
  await Promise.all(
    Array.from({ length: TOGETHER }, async () => {
      for (const name of names) await keep(cache, name);
    }),
  );
}

async function keep(cache, name) {
  const response = await fetch(name, { cache: "no-cache", credentials: "same-origin" });
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  const content = await response.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== files[name].sha256) throw new Error(`${name}: is of another version`); // the browser tries again later
  const headers = new Headers(response.headers);
  headers.delete("content-encoding"); // the content is unpacked by now
  headers.delete("content-length");
  await cache.put(addressOf(name), new Response(content, { headers }));
}

async function removeOld() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(OWN) && name !== CACHE).map((name) => caches.delete(name)));
}

async function serve(request) {
  const url = new URL(request.url);
  const folder = addressOf("");
  const address = url.origin + url.pathname;
  const wanted = address === folder ? addressOf("index.html") : address;
  const kept = request.method === "GET" && (await (await caches.open(CACHE)).match(wanted));
  return kept || Response.error();
}

function addressOf(name) {
  return new URL(name, self.registration.scope).href;
}
