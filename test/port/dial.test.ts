// Tests of src/port/dial.ts through a real proxy, and through proxies that misbehave.
// Neighbours: tls.test.ts and reconnect.test.ts run over both ways; tinyproxy.ts is the real one.
// Invariant: a proxy in the settings is the only way out; each refusal has its own cause.

import { afterAll, afterEach, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { readdirSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { Cause, type HttpProxy } from "../../src/core/effects.ts";
import { Dialer } from "../../src/port/dial.ts";
import { Tls } from "../../src/port/tls.ts";
import { Authority, type Identity } from "./certificates.ts";
import { type Tinyproxy, tinyproxy } from "./tinyproxy.ts";
import { closeServers, listening, plain, proxyAt, relay, secure, Witness } from "./uplink.ts";

const USER = "site";
const PASSWORD = "pass-w0rd";

let authority: Authority;
let good: Identity;

beforeAll(() => {
  authority = new Authority("Test Authority");
  good = authority.leaf("good", "DNS:localhost");
});

afterAll(() => authority.remove());
afterEach(closeServers);

function echo(): Promise<number> {
  return secure((socket) => socket.once("data", (data) => socket.end(`<${data}>`)), good);
}

/** Runs one connection through a proxy until it is closed. */
async function through(proxy: HttpProxy, port: number, host = "localhost"): Promise<Witness> {
  const witness = new Witness(proxy);
  witness.onEvent = (name) => {
    if (name === "secured") witness.write(Buffer.from("hello"));
  };
  witness.open(port, authority.pem, host);
  await witness.until("closed");
  return witness;
}

async function failure(proxy: HttpProxy, port: number, host?: string): Promise<[string, string]> {
  const witness = await through(proxy, port, host);
  expect(witness.story()).toBe("closed");
  return [Cause[witness.cause]!, witness.detail];
}

describe("tinyproxy without credentials", () => {
  let proxy: Tinyproxy;
  beforeAll(async () => {
    proxy = await tinyproxy();
  });
  afterAll(() => proxy.stop());

  test("carries a connection", async () => {
    const port = await echo();
    const witness = await through(proxyAt(proxy.port), port);
    expect(witness.story()).toBe("opened secured data closed");
    expect(witness.text()).toBe("<hello>");
    expect(proxy.log()).toContain(`CONNECT localhost:${port} HTTP/1.1`);
  });

  test("says when nobody listens at the target, or there is no such name", async () => {
    const port = await listening(createServer());
    closeServers();
    const [cause, detail] = await failure(proxyAt(proxy.port), port);
    expect(cause).toBe("PROXY_FAILED");
    expect(detail).toMatch(/^5\d\d /);
    const [unknown] = await failure(proxyAt(proxy.port), 8883, "hub.invalid");
    expect(unknown).toBe("PROXY_FAILED");
  });
});

describe("tinyproxy with BasicAuth", () => {
  let proxy: Tinyproxy;
  beforeAll(async () => {
    proxy = await tinyproxy(`BasicAuth ${USER} ${PASSWORD}`);
  });
  afterAll(() => proxy.stop());

  test("takes the right ones", async () => {
    const witness = await through(proxyAt(proxy.port, USER, PASSWORD), await echo());
    expect(witness.story()).toBe("opened secured data closed");
  });

  test("refuses none and wrong ones", async () => {
    const port = await echo();
    const none = await failure(proxyAt(proxy.port), port);
    expect(none).toEqual(["PROXY_CREDENTIALS", "none are given"]);
    const wrong = await failure(proxyAt(proxy.port, USER, "wrong"), port);
    expect(wrong).toEqual(["PROXY_CREDENTIALS", "those given are refused"]);
  });
});

describe("tinyproxy with rules", () => {
  let proxy: Tinyproxy;
  beforeAll(async () => {
    proxy = await tinyproxy("ConnectPort 443", 'Filter "@/filter"');
  });
  afterAll(() => proxy.stop());

  test("a port that is not on its list", async () => {
    const [cause, detail] = await failure(proxyAt(proxy.port), 8883);
    expect(cause).toBe("PROXY_REFUSED");
    expect(detail).toStartWith("403 ");
  });

  test("a name that its filter forbids", async () => {
    const [cause, detail] = await failure(proxyAt(proxy.port), 443, "blocked.example");
    expect(cause).toBe("PROXY_REFUSED");
    expect(detail).toStartWith("403 ");
  });
});

describe("a proxy that misbehaves", () => {
  /** Answers the first bytes with a text, and ends where `isEnding`. */
  function saying(text: string, isEnding = false): Promise<number> {
    return plain((socket: Socket) => {
      socket.once("data", () => {
        if (isEnding) socket.end(text);
        else socket.write(text);
      });
    });
  }

  const BROKEN: readonly (readonly [string, string, boolean, string])[] = [
    ["closes", "", true, "closed without an answer"],
    ["closes within its answer", "HTTP/1.1 200 OK\r\n", true, "closed without an answer"],
    ["speaks another protocol", "220 mail ready\r\n\r\n", false, "no HTTP answer"],
    ["sends no end of a head", `HTTP/1.1 200 ${"x".repeat(9000)}`, false, "no HTTP answer"],
    [
      "goes on talking",
      "HTTP/1.1 200 OK\r\n\r\nhello",
      false,
      "it goes on talking after its answer",
    ],
  ];
  test.each(BROKEN)("one that %s", async (_, text, isEnding, detail) => {
    const port = await saying(text, isEnding);
    expect(await failure(proxyAt(port), 8883)).toEqual(["PROXY_BROKEN", detail]);
  });

  test("one that resets", async () => {
    const port = await plain((socket) => socket.once("data", () => socket.resetAndDestroy()));
    expect((await failure(proxyAt(port), 8883))[0]).toBe("PROXY_BROKEN");
  });

  test("one that is not there, or has no name", async () => {
    const port = await listening(createServer());
    closeServers();
    const refused = await failure(proxyAt(port), 8883);
    expect(refused).toEqual(["PROXY_UNREACHABLE", "ECONNREFUSED"]);
    const nameless = { host: "no..name", port, tunnel: proxyAt(port).tunnel.bind(proxyAt(port)) };
    expect((await failure(nameless, 8883))[0]).toBe("PROXY_UNREACHABLE");
  });

  test("one that answers byte by byte, after an interim answer", async () => {
    const witness = await through(proxyAt(await relay(true)), await echo());
    expect(witness.story()).toBe("opened secured data closed");
  });

  test("one that says nothing is told from one that cannot be reached", async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const port = await plain((socket) => socket.on("close", resolve).resume());
    const heard = Promise.withResolvers<string>();
    const onClosed = (cause: Cause, detail: string) => heard.resolve(`${Cause[cause]} ${detail}`);
    const nothing = () => heard.resolve("more than a close");
    const events = { onOpened: nothing, onSecured: nothing, onData: nothing, onWritable: nothing };
    const times = { dialMs: 10_000, proxyMs: 30 };
    const tls = new Tls({ ...events, onClosed }, new Dialer(proxyAt(port), times).open);
    tls.open({ host: "localhost", port: 8883, roots: authority.pem });
    expect(await heard.promise).toBe("PROXY_TIMEOUT ");
    await gone;
  });
});

test("an aborted talk with a proxy ends at the proxy, and is not heard of again", async () => {
  const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  const port = await plain((socket) => socket.on("close", resolve).once("data", () => onAsked()));
  const witness = new Witness(proxyAt(port));
  witness.open(8883, authority.pem);
  await asked;
  witness.abort();
  await gone;
  expect(witness.heard).toEqual([]);
});

test("a dial that is dropped in the moment it fails is not heard of", async () => {
  let heard = 0;
  const socket = { data() {}, open: () => void heard++, connectError: () => void heard++ };
  const options = { hostname: "a b", port: 443, data: undefined, socket, tls: { ca: "" } };
  new Dialer(proxyAt(1)).open(options)();
  await Bun.sleep(1);
  expect(heard).toBe(0);
  new Dialer(proxyAt(1)).open(options);
  expect(heard).toBe(0);
  await Bun.sleep(1);
  expect(heard).toBe(1);
});

test("no socket is left, in whatever phase a tunnelled connection is dropped", async () => {
  const port = await secure((socket) => socket.on("data", () => socket.end("bye")), good);
  const proxy = proxyAt(await relay());
  const descriptors = () => readdirSync("/proc/self/fd").length;
  const run = async (phase: string) => {
    const witness = new Witness(proxy);
    witness.open(port, authority.pem);
    if (phase === "at once") return witness.abort();
    await witness.until(phase === "data" ? "secured" : phase);
    if (phase === "data") {
      witness.write(Buffer.from("x"));
      await witness.until("data");
    }
    return witness.abort();
  };
  const phases = ["at once", "opened", "secured", "data"];
  for (const phase of phases) await run(phase);
  await through(proxy, port);
  const before = descriptors();
  for (let round = 0; round < 200; round++) await run(phases[round % 4]!);
  // Sockets that were dropped at once are closed when they are through.
  for (let wait = 0; descriptors() > before && wait < 500; wait++) await Bun.sleep(10);
  expect(descriptors()).toBeLessThanOrEqual(before);
});

test("the target's name is the proxy's to look up", async () => {
  const asked: string[] = [];
  const port = await plain((socket) => {
    socket.once("data", (head) => {
      asked.push(`${head}`.split("\r\n")[0]!);
      socket.end("HTTP/1.1 503 Busy\r\n\r\n");
    });
  });
  const lookup = spyOn(Bun.dns, "lookup");
  try {
    await failure(proxyAt(port), 8883, "hub.invalid");
    await failure(proxyAt(port), 443, "::1");
    expect(asked).toEqual(["CONNECT hub.invalid:8883 HTTP/1.1", "CONNECT [::1]:443 HTTP/1.1"]);
    expect(lookup).not.toHaveBeenCalled();
  } finally {
    lookup.mockRestore();
  }
});

test("a host that cannot stand in a request is not asked for", async () => {
  const port = await plain(() => expect.unreachable("somebody came"));
  const [cause] = await failure(proxyAt(port), 8883, "a\r\nX: y");
  expect(cause).toBe("SOCKET_FAILED");
});
