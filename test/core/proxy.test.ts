// Proxy, tested: what each answer of a proxy comes to, and what never shows.
// Neighbours: `src/core/proxy.ts`; `test/codec/proxy.test.ts` has the answers in full.
// Invariant: the password is in the request and nowhere else.

import { expect, test } from "bun:test";
import { Cause, type Tunnel } from "../../src/core/effects.ts";
import { ConnectProxy } from "../../src/core/proxy.ts";

const PLACE = { host: "proxy.example", port: 3128 };
const OPEN = new ConnectProxy({ ...PLACE, user: "", password: "" });
const CLOSED = new ConnectProxy({ ...PLACE, user: "site", password: "hush" });

function answered(proxy: ConnectProxy, text: string): Tunnel {
  const tunnel = proxy.tunnel("hub.example", 443);
  tunnel.onData(new TextEncoder().encode(text));
  return tunnel;
}

test("the place is that of the settings, the request that of the target", () => {
  expect([OPEN.host, OPEN.port]).toEqual(["proxy.example", 3128]);
  const request = new TextDecoder().decode(OPEN.tunnel("hub.example", 443).request);
  expect(request).toStartWith("CONNECT hub.example:443 HTTP/1.1\r\n");
  expect(request).not.toContain("Proxy-Authorization");
  const secret = new TextDecoder().decode(CLOSED.tunnel("hub.example", 443).request);
  expect(secret).toContain(`Basic ${Buffer.from("site:hush").toString("base64")}`);
});

test.each([
  ["HTTP/1.1 200 OK\r\n\r\n", true, Cause.NONE, "200 OK"],
  ["HTTP/1.1 2", false, Cause.NONE, ""],
  ["HTTP/1.1 407 Who\r\n\r\n", false, Cause.PROXY_CREDENTIALS, "none are given"],
  ["HTTP/1.1 403 No\r\n\r\n", false, Cause.PROXY_REFUSED, "403 No"],
  ["HTTP/1.1 503 Busy\r\n\r\n", false, Cause.PROXY_FAILED, "503 Busy"],
  ["junk\r\n\r\n", false, Cause.PROXY_BROKEN, "no HTTP answer"],
])("%j", (text, isOpen, cause, detail) => {
  const tunnel = answered(OPEN, text);
  expect([tunnel.isOpen, tunnel.cause, tunnel.detail]).toEqual([isOpen, cause, detail]);
});

test("credentials that were refused are told from none", () => {
  const tunnel = answered(CLOSED, "HTTP/1.1 407 hush\r\n\r\n");
  expect(tunnel.cause).toBe(Cause.PROXY_CREDENTIALS);
  expect(tunnel.detail).toBe("those given are refused");
});

test("each attempt has a talk of its own", () => {
  answered(OPEN, "HTTP/1.1 403 No\r\n\r\n");
  expect(answered(OPEN, "HTTP/1.1 200 OK\r\n\r\n").isOpen).toBe(true);
});
