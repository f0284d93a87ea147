// Handshake: what DPS's port says when TLS fails, and what to do about it.
// Neighbours: `src/port/https.ts`; certificates.ts makes the authority, uplink.ts the servers.
// Invariant: everything on loopback, on free ports, closed after the test.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import type { WebAnswer } from "../../src/core/effects.ts";
import { Dialer } from "../../src/port/dial.ts";
import { HttpsWeb } from "../../src/port/https.ts";
import { Authority } from "./certificates.ts";
import { closeServers, plain, secure } from "./uplink.ts";

let authority: Authority;
let stranger: Authority;
beforeAll(() => {
  authority = new Authority("Test Authority");
  stranger = new Authority("Another Authority");
});
afterAll(() => {
  authority.remove();
  stranger.remove();
});
afterEach(closeServers);

async function problemOf(port: number, roots = authority.pem): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<WebAnswer>();
  const request = { host: "localhost", port, path: "/", authorization: "", body: "" };
  const web = new HttpsWeb({ onFetched: (_, answer) => resolve(answer) }, new Dialer().open);
  web.ask(1, { ...request, method: "GET" }, roots);
  return (await promise).problem;
}

test.each([
  ["early", "20400101000000Z", "20450101000000Z", /not yet valid; this clock is behind, set it$/],
  ["late", "20010101000000Z", "20020101000000Z", /expired; this clock is ahead, or the server's/],
])("on a certificate that is %s says what the clock has to do with it", async (...given) => {
  const [name, from, until, words] = given;
  const identity = authority.leaf(name, "DNS:localhost", { from, until });
  expect(await problemOf(await secure(() => {}, identity))).toMatch(words);
});

test("on another's name, another's root or no TLS at all says what to check", async () => {
  const good = authority.leaf("good", "DNS:localhost");
  const other = authority.leaf("other", "DNS:other.example");
  expect(await problemOf(await secure(() => {}, other))).toBe(
    "TLS: the certificate is for another name; check the host",
  );
  expect(await problemOf(await secure(() => {}, good), stranger.pem)).toMatch(
    /^TLS: unknown issuer of the certificate \([A-Z_]+\); set ca-file to the root that signed it/,
  );
  const port = await plain((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  expect(await problemOf(port)).toBe("it does not speak TLS; check the port");
});
