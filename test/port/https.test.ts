// Tests of src/port/https.ts against TLS servers that speak HTTP/1.1 byte by byte.
// Neighbours: certificates.ts makes the authority; uplink.ts the servers.
// Invariant: one answer for each probe, and never from inside the call.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import type { TLSSocket } from "node:tls";
import type { HttpProxy, Probed, WebAnswer, WebRequest } from "../../src/core/effects.ts";
import { Dialer } from "../../src/port/dial.ts";
import { HttpsProbe, HttpsWeb } from "../../src/port/https.ts";
import { Authority, type Identity } from "./certificates.ts";
import { tinyproxy } from "./tinyproxy.ts";
import { closeServers, listening, plain, proxyAt, secure } from "./uplink.ts";

const PATH = "/devices/d1/messages/deviceBound/none?api-version=2021-04-12";
const TOKEN = "SharedAccessSignature sr=hub&sig=c2ln&se=1";
const NOTHING: Probed = { dateS: Number.NaN, status: 0, errorCode: "" };
/** RFC 9110, 5.6.7 gives this moment in all three forms. */
const MOMENT_S = Date.UTC(1994, 10, 6, 8, 49, 37) / 1000;
const DATE = "Date: Sun, 06 Nov 1994 08:49:37 GMT";
const BODY = '{"Message":"ErrorCode:DeviceNotFound;Unknown device d1","ExceptionMessage":"x"}';

let authority: Authority;
let stranger: Authority;
let good: Identity;

beforeAll(() => {
  authority = new Authority("Test Authority");
  stranger = new Authority("Another Authority");
  good = authority.leaf("good", "DNS:localhost");
});

afterAll(() => {
  authority.remove();
  stranger.remove();
});

afterEach(closeServers);

interface Changes {
  host?: string;
  path?: string;
  token?: string;
  roots?: string;
  timeoutMs?: number;
  proxy?: HttpProxy;
}

async function probe(port: number, changes: Changes = {}): Promise<Probed> {
  const answers: Probed[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const events = {
    onProbed(probed: Probed) {
      answers.push(probed);
      resolve();
    },
  };
  const port443 = new HttpsProbe(events, new Dialer(changes.proxy).open, changes.timeoutMs);
  port443.probe(
    changes.host ?? "localhost",
    port,
    changes.path ?? PATH,
    changes.token ?? TOKEN,
    changes.roots ?? authority.pem,
  );
  expect(answers).toHaveLength(0);
  await promise;
  await Bun.sleep(5);
  expect(answers).toHaveLength(1);
  return answers[0]!;
}

/** A server that says `text` once the request is there, in pieces of `step` characters. */
function saying(text: string, step = text.length, onRequest = (_request: string) => {}) {
  return secure(async (socket: TLSSocket) => {
    let request = "";
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.on("data", (data) => {
      request += data;
      if (request.endsWith("\r\n\r\n")) resolve();
    });
    await promise;
    onRequest(request);
    for (let at = 0; at < text.length; at += step) {
      socket.write(text.slice(at, at + step));
      if (step < text.length) await Bun.sleep(0);
    }
  }, good);
}

function response(status: string, headers: string[], body: string): string {
  return `HTTP/1.1 ${status}\r\n${[DATE, ...headers].join("\r\n")}\r\n\r\n${body}`;
}

describe("what comes back", () => {
  const length = `Content-Length: ${BODY.length}`;
  const found: Probed = { dateS: MOMENT_S, status: 404, errorCode: "DeviceNotFound" };

  test("the request is what the hub expects", async () => {
    let seen = "";
    const port = await saying(response("404 Not Found", [length], BODY), undefined, (request) => {
      seen = request;
    });
    expect(await probe(port)).toEqual(found);
    const lines = seen.split("\r\n");
    expect(lines[0]).toBe(`DELETE ${PATH} HTTP/1.1`);
    expect(lines).toContain(`Host: localhost:${port}`);
    expect(lines).toContain(`Authorization: ${TOKEN}`);
    expect(lines).toContain("Connection: close");
    expect(lines.slice(-2)).toEqual(["", ""]);
  });

  test("torn into single characters", async () => {
    const port = await saying(response("404 Not Found", [length], BODY), 1);
    expect(await probe(port)).toEqual(found);
  });

  test("in chunks, the error code across two of them, after an interim answer", async () => {
    const chunks = [BODY.slice(0, 25), BODY.slice(25)];
    const body = chunks.map((chunk) => `${chunk.length.toString(16)};x=y\r\n${chunk}\r\n`).join("");
    const text = response("404 Not Found", ["transfer-encoding: Chunked"], `${body}0\r\n\r\n`);
    const port = await saying(`HTTP/1.1 100 Continue\r\n\r\n${text}`);
    expect(await probe(port)).toEqual(found);
  });

  test("with a body that only the end of the connection ends", async () => {
    const port = await secure((socket) => {
      socket.once("data", () => socket.end(response("404 Not Found", [], BODY)));
    }, good);
    expect(await probe(port)).toEqual(found);
  });

  test("without a body, or with one that names no code", async () => {
    const empty = await saying(response("204 No Content", ["Content-Length: 0"], ""));
    expect(await probe(empty)).toEqual({ dateS: MOMENT_S, status: 204, errorCode: "" });
    const other = await saying(response("401 Unauthorized", ["Content-Length: 2"], "no"));
    expect(await probe(other)).toEqual({ dateS: MOMENT_S, status: 401, errorCode: "" });
  });

  test.each(["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])(
    "the date form %p",
    async (date) => {
      const port = await saying(`HTTP/1.1 401 No\r\ndate:${date}\r\nContent-Length:0\r\n\r\n`);
      expect((await probe(port)).dateS).toBe(MOMENT_S);
    },
  );

  test("no date or a bad one is no time at all", async () => {
    for (const head of ["", "Date: yesterday\r\n"]) {
      const port = await saying(`HTTP/1.1 401 No\r\n${head}Content-Length: 0\r\n\r\n`);
      expect(await probe(port)).toEqual({ dateS: Number.NaN, status: 401, errorCode: "" });
    }
  });

  test("a body without end is left after 8 KB", async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const port = await secure((socket) => {
      socket.on("close", resolve);
      socket.once("data", () => {
        socket.write(response("404 Not Found", [], BODY));
        const timer = setInterval(() => socket.write("x".repeat(1000)), 1);
        socket.on("close", () => clearInterval(timer));
      });
    }, good);
    expect(await probe(port)).toEqual(found);
    await gone;
  });

  test("a body that stalls: what was understood counts when the time is over", async () => {
    const port = await saying(response("404 Not Found", ["Content-Length: 9999"], BODY));
    expect(await probe(port, { timeoutMs: 500 })).toEqual(found);
  });
});

describe("every failure is no answer", () => {
  test("nobody listens", async () => {
    const port = await listening(createServer());
    closeServers();
    expect(await probe(port)).toEqual(NOTHING);
  });

  test("a server that is not trusted never sees the token", async () => {
    let seen = 0;
    const port = await secure((socket) => {
      socket.on("data", (data) => {
        seen += data.length;
      });
    }, good);
    expect(await probe(port, { roots: stranger.pem })).toEqual(NOTHING);
    expect(await probe(port, { host: "127.0.0.1" })).toEqual(NOTHING);
    expect(await probe(port, { roots: "" })).toEqual(NOTHING);
    expect(await probe(port, { roots: "junk" })).toEqual(NOTHING);
    expect(seen).toBe(0);
  });

  test("a server that stays silent, before and after the handshake", async () => {
    const silent = await plain((socket) => socket.resume());
    expect(await probe(silent, { timeoutMs: 30 })).toEqual(NOTHING);
    const secured = await secure((socket) => socket.resume(), good);
    expect(await probe(secured, { timeoutMs: 60 })).toEqual(NOTHING);
  });

  test.each([
    "",
    "220 ready\r\n\r\n",
    "HTTP/2 404 Not Found\r\n\r\n",
    "HTTP/1.1 404 No\r\nDate: x\r\n",
  ])("the answer %p", async (text) => {
    const port = await secure((socket) => socket.once("data", () => socket.end(text)), good);
    expect(await probe(port)).toEqual(NOTHING);
  });

  test("parts that would break out of their header are not sent", async () => {
    const port = await saying(response("404 Not Found", [], BODY));
    expect(await probe(port, { token: "a\r\nX: y" })).toEqual(NOTHING);
    expect(await probe(port, { path: "/a b" })).toEqual(NOTHING);
  });
});

describe("a request of DPS", () => {
  const REGISTER: WebRequest = {
    method: "PUT",
    host: "localhost",
    port: 0,
    path: "/0ne1/registrations/gw/register",
    authorization: "",
    body: '{"registrationId":"gw"}',
  };

  async function ask(changes: Partial<WebRequest>, roots = authority.pem, timeoutMs = 10_000) {
    const { promise, resolve } = Promise.withResolvers<WebAnswer>();
    const events = {
      onFetched(ticket: number, answer: WebAnswer) {
        expect(ticket).toBe(7);
        resolve(answer);
      },
    };
    new HttpsWeb(events, new Dialer().open, timeoutMs).ask(7, { ...REGISTER, ...changes }, roots);
    return promise;
  }

  /** Answers when the body is there, too. */
  function serving(text: string, onRequest = (_request: string) => {}) {
    return secure((socket: TLSSocket) => {
      let request = "";
      socket.on("data", (data) => {
        request += data;
        const length = Number(/content-length: (\d+)/i.exec(request)?.[1] ?? 0);
        const end = request.indexOf("\r\n\r\n");
        if (end < 0 || request.length < end + 4 + length) return;
        onRequest(request);
        socket.write(text);
      });
    }, good);
  }

  test("carries its body, and gives status, date, wait and body of the answer", async () => {
    let seen = "";
    const body = '{"operationId":"4.x","status":"assigning"}';
    const headers = ["Retry-After: 3", `Content-Length: ${body.length}`];
    const port = await serving(response("202 Accepted", headers, body), (request) => {
      seen = request;
    });
    expect(await ask({ port })).toEqual({
      status: 202,
      dateS: MOMENT_S,
      retryAfterS: 3,
      body,
      problem: "",
    });
    const lines = seen.split("\r\n");
    expect(lines[0]).toBe("PUT /0ne1/registrations/gw/register HTTP/1.1");
    expect(lines).toContain("Content-Type: application/json; charset=utf-8");
    expect(lines).toContain("Content-Length: 23");
    expect(lines.at(-1)).toBe(REGISTER.body);
    expect(seen).not.toContain("Authorization");
  });

  test("without a body has none, and with a token carries it", async () => {
    let seen = "";
    const port = await serving(response("200 OK", ["Content-Length: 2"], "{}"), (request) => {
      seen = request;
    });
    await ask({ port, method: "GET", body: "", authorization: TOKEN });
    expect(seen).toStartWith("GET ");
    expect(seen).toContain(`\r\nAuthorization: ${TOKEN}\r\n`);
    expect(seen).not.toMatch(/content-/i);
  });

  test("takes a body in chunks, with letters beyond ASCII", async () => {
    const bytes = Buffer.from('{"message":"\u00e9"}');
    const half = bytes.subarray(0, 13).toString("latin1");
    const rest = bytes.subarray(13).toString("latin1");
    const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
    const text = response(
      "401 Unauthorized",
      ["Transfer-Encoding: chunked"],
      `${chunk(half)}${chunk(rest)}0\r\n\r\n`,
    );
    const port = await secure((socket: TLSSocket) => {
      socket.once("data", () => socket.write(Buffer.from(text, "latin1")));
    }, good);
    const answer = await ask({ port });
    expect([answer.status, answer.body]).toEqual([401, '{"message":"\u00e9"}']);
    expect(answer.retryAfterS).toBeNaN();
  });

  test("tells why nothing came back", async () => {
    const silent = await secure(() => {}, good);
    const closing = await secure((socket: TLSSocket) => void socket.end(), good);
    expect((await ask({ port: 1 })).problem).toBe("refused: nothing listens there");
    expect((await ask({ port: silent }, authority.pem, 50)).problem).toBe("no answer within 0 s");
    expect((await ask({ port: closing })).problem).toBe("closed by the server");
    expect((await ask({ port: silent }, stranger.pem)).problem).toStartWith("TLS: ");
    expect((await ask({ port: silent }, "")).problem).toBe("no trusted roots");
    expect((await ask({ path: "/a b" })).problem).toBe("a request that HTTP cannot carry");
    for (const answer of [await ask({ port: 1 })]) {
      expect([answer.status, answer.body]).toEqual([0, ""]);
    }
  });
});

describe("through a proxy", () => {
  const text = response("404 Not Found", [`Content-Length: ${BODY.length}`], BODY);
  const found: Probed = { dateS: MOMENT_S, status: 404, errorCode: "DeviceNotFound" };

  test("a real one, with credentials", async () => {
    const running = await tinyproxy("BasicAuth site word");
    try {
      const port = await saying(text);
      expect(await probe(port, { proxy: proxyAt(running.port, "site", "word") })).toEqual(found);
      expect(await probe(port, { proxy: proxyAt(running.port, "site", "other") })).toEqual(NOTHING);
    } finally {
      await running.stop();
    }
  });

  test("one that refuses never sees the token, and is no answer of the hub", async () => {
    let seen = "";
    const port = await plain((socket) => {
      socket.on("data", (data) => {
        seen += data;
        socket.write("HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
      });
    });
    expect(await probe(443, { proxy: proxyAt(port) })).toEqual(NOTHING);
    expect(seen).toStartWith("CONNECT localhost:443 HTTP/1.1\r\n");
    expect(seen).not.toContain("SharedAccessSignature");
  });

  test("one that stays silent has no longer than a silent hub", async () => {
    const port = await plain((socket) => socket.resume());
    expect(await probe(443, { proxy: proxyAt(port), timeoutMs: 30 })).toEqual(NOTHING);
  });

  test("what DPS is asked, and why it could not be", async () => {
    const problemOf = async (given: HttpProxy) => {
      const { promise, resolve } = Promise.withResolvers<WebAnswer>();
      const events = { onFetched: (_: number, answer: WebAnswer) => resolve(answer) };
      const request = { method: "GET" as const, host: "localhost", port: 443, path: "/" };
      const whole = { ...request, authorization: "", body: "" };
      new HttpsWeb(events, new Dialer(given).open).ask(1, whole, authority.pem);
      return (await promise).problem;
    };
    const says = (text: string) =>
      plain((socket) => socket.once("data", () => socket.end(text))).then(proxyAt);
    const wanting = await says("HTTP/1.1 407 Who\r\n\r\n");
    expect(await problemOf(wanting)).toBe(
      "the proxy wants user name and password (none are given)",
    );
    const refusing = await says("HTTP/1.1 403 No\r\n\r\n");
    expect(await problemOf(refusing)).toBe("the proxy does not let through to it (403 No)");
    const failing = await says("HTTP/1.1 502 Bad\r\n\r\n");
    expect(await problemOf(failing)).toBe("the proxy could not reach it (502 Bad)");
    const other = await says("SSH-2.0\r\n\r\n");
    expect(await problemOf(other)).toStartWith("what is set as proxy does not answer like one (");
    expect(await problemOf(proxyAt(1))).toStartWith("the proxy cannot be reached (ECONNREFUSED)");
  });
});
