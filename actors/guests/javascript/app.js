// An actor in JavaScript: a WASI 0.2 component that answers HTTP and calls other actors.

import { callSync } from "wasmcloud:bus/host";

const HEADERS = { "content-type": "text/plain; charset=utf-8", "x-language": "javascript" };

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const { pathname, search } = new URL(request.url);
  if (pathname === "/fail") throw new Error("failed as asked");
  const body = new Uint8Array(await request.arrayBuffer());
  if (pathname.startsWith("/call/")) return call(pathname.slice("/call/".length), body);
  const name = request.headers.get("x-name") ?? "nobody";
  const line = `javascript: ${request.method} ${pathname}?${search.slice(1)} from ${name}\n`;
  return new Response(new Blob([line, body]), { headers: HEADERS });
}

function call(actor, argument) {
  const target = { tag: "actor", val: { tag: "alias", val: actor } };
  try {
    return new Response(callSync(target, "Greet", argument), { headers: HEADERS });
  } catch (error) {
    return new Response(error.payload, { status: 502, headers: HEADERS });
  }
}
