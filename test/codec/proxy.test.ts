// Tests of src/codec/proxy.ts: the request byte by byte, and what each answer means.
// Neighbours: head.test.ts has the reading of heads; port/dial.test.ts a real proxy.
// Invariant: expectations come from RFC 9110 and RFC 7617; node's own Buffer makes the base64.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  authorityOf,
  CREDENTIAL_BYTES_MAX,
  connectRequest,
  credentialProblem,
  ProxyAnswer,
  ProxyOutcome,
  parseProxy,
} from "../../src/codec/proxy.ts";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

describe("the request", () => {
  test("without credentials", () => {
    expect(connectRequest("hub.example", 8883, "", "unused")).toBe(
      "CONNECT hub.example:8883 HTTP/1.1\r\nHost: hub.example:8883\r\nUser-Agent: azimuth\r\n\r\n",
    );
  });

  test("the example of RFC 7617, 2", () => {
    const request = connectRequest("hub.example", 443, "Aladdin", "open sesame");
    expect(request).toContain("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
  });

  test("the example of RFC 7617, 2.1, in UTF-8", () => {
    expect(connectRequest("h", 443, "test", "123£")).toContain("Basic dGVzdDoxMjPCow==\r\n");
  });

  test("an IPv6 address stands in brackets", () => {
    expect(authorityOf("fe80::1", 443)).toBe("[fe80::1]:443");
    expect(connectRequest("::1", 443, "", "")).toStartWith(
      "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443",
    );
  });

  test("nothing that is given adds a line", () => {
    const text = fc.string({ unit: "binary", maxLength: 40 });
    const users = fc.tuple(text, text).filter((pair) => credentialProblem(...pair) === "");
    fc.assert(
      fc.property(text, users, (host, [user, password]) => {
        const request = connectRequest(host, 443, user, password);
        if (request === "") return;
        const lines = request.split("\r\n");
        expect(lines).toHaveLength(user === "" ? 5 : 6);
        expect(lines.slice(-2)).toEqual(["", ""]);
        expect(/^[\x20-\x7e\r\n]*$/.test(request)).toBe(true);
        if (user === "") return;
        const basic = Buffer.from(`${user}:${password}`).toString("base64");
        expect(lines[3]).toBe(`Proxy-Authorization: Basic ${basic}`);
      }),
    );
  });

  test.each(["", "a b", "a\r\nX: y", "hub/..", "ü.example", "x".repeat(256)])(
    "the host %j is not asked for",
    (host) => {
      expect(connectRequest(host, 443, "", "")).toBe("");
    },
  );
});

describe("the place in the settings", () => {
  test.each([
    ["http://proxy.example:3128", "proxy.example", 3128],
    ["HTTP://10.0.0.1:8080/", "10.0.0.1", 8080],
    ["http://[fe80::1]:1", "fe80::1", 1],
    ["http://proxy:65535", "proxy", 65_535],
  ])("%j", (text, host, port) => {
    expect(parseProxy(text)).toEqual({ host, port });
  });

  test.each([
    ["", "http://"],
    ["proxy:3128", "http://"],
    ["socks5://proxy:1080", "http://"],
    ["https://proxy:3128", "TLS"],
    ["http://proxy", "form"],
    ["http://proxy:", "form"],
    ["http://proxy:3128/path", "form"],
    ["http://proxy:3128?x", "form"],
    ["http://fe80::1:3128", "form"],
    ["http://pro xy:3128", "form"],
    ["http://:3128", "form"],
    ["http://proxy:0", "port"],
    ["http://proxy:65536", "port"],
    ["http://site:hush@proxy:3128", "proxy-user"],
  ])("%j is none", (text, word) => {
    const problem = parseProxy(text);
    expect(problem).toContain(word);
    expect(problem).not.toContain("hush");
  });
});

test("what cannot be sent as credentials", () => {
  expect(credentialProblem("user", "p:a s\u{1f600}")).toBe("");
  expect(credentialProblem("us:er", "x")).toContain("colon");
  expect(credentialProblem("user", "x\n")).toContain("control");
  expect(credentialProblem("user", "\ud800")).toContain("broken");
  expect(credentialProblem("x".repeat(CREDENTIAL_BYTES_MAX), "")).toBe("");
  expect(credentialProblem("", "é".repeat(128))).toContain("255 bytes");
  expect(credentialProblem("user", "secret\x7f")).not.toContain("secret");
});

describe("the answer", () => {
  const answers: readonly (readonly [string, ProxyOutcome, string])[] = [
    [
      "HTTP/1.1 200 Connection established\r\n\r\n",
      ProxyOutcome.OPEN,
      "200 Connection established",
    ],
    ["HTTP/1.0 299 \r\nContent-Length: 5\r\n\r\n", ProxyOutcome.OPEN, "299"],
    ["HTTP/1.1 407 Who\r\n\r\n", ProxyOutcome.CREDENTIALS, "407 Who"],
    ["HTTP/1.1 401 Who\r\n\r\n", ProxyOutcome.CREDENTIALS, "401 Who"],
    ["HTTP/1.1 403 Filtered\r\n\r\n<html>", ProxyOutcome.REFUSED, "403 Filtered"],
    ["HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", ProxyOutcome.REFUSED, "302 Found"],
    ["HTTP/1.1 405 No\r\n\r\n", ProxyOutcome.REFUSED, "405 No"],
    ["HTTP/1.1 502 Bad Gateway\r\n\r\n", ProxyOutcome.FAILED, "502 Bad Gateway"],
    ["HTTP/1.1 504 Late\r\n\r\n", ProxyOutcome.FAILED, "504 Late"],
    ["HTTP/1.1 101 Switch\r\n\r\n", ProxyOutcome.BROKEN, "101 Switch"],
    ["HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ProxyOutcome.OPEN, "200 OK"],
    ["SSH-2.0-x\r\n\r\n", ProxyOutcome.BROKEN, "no HTTP answer"],
  ];
  test.each(answers)("%j", (text, outcome, detail) => {
    const answer = new ProxyAnswer();
    expect(answer.feed(bytes(text))).toBe(outcome);
    expect(answer.detail).toBe(detail);
    // Whatever follows, it stays at that.
    expect(answer.feed(bytes("HTTP/1.1 200 OK\r\n\r\n"))).toBe(outcome);
    const torn = new ProxyAnswer();
    let last = ProxyOutcome.MORE;
    for (const byte of bytes(text)) last = torn.feed(Uint8Array.of(byte));
    expect([last, torn.detail]).toEqual([outcome, detail]);
  });

  test("a yes with something behind it is no tunnel", () => {
    const answer = new ProxyAnswer();
    expect(answer.feed(bytes("HTTP/1.1 200 OK\r\n\r\nx"))).toBe(ProxyOutcome.BROKEN);
    expect(answer.detail).toBe("it goes on talking after its answer");
  });
});
