// Tests of src/port/tls.ts over several connections: abort in every phase, reconnects, resumption.
// Neighbours: tls.test.ts has the single connection; uplink.ts the witness and the servers.
// Invariant: after an abort or a close nothing of that connection is heard again.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Cause, type HttpProxy } from "../../src/core/effects.ts";
import { Authority, type Identity } from "./certificates.ts";
import { closeServers, plain, secure, WAYS, Witness } from "./uplink.ts";

let authority: Authority;
let stranger: Authority;
let good: Identity;
let proxy: HttpProxy | null = null;

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

/** Aborts, runs a whole other connection, and expects to hear of that one alone. */
async function expectSilence(witness: Witness): Promise<void> {
  const before = witness.heard.length;
  witness.abort();
  witness.abort();
  const port = await secure((socket) => socket.once("data", () => socket.end("second")), good);
  expect(witness.heard).toHaveLength(before);
  witness.open(port, authority.pem);
  await witness.until("secured", before);
  expect(witness.write(Buffer.from("x"))).toBe(1);
  await witness.until("closed", before);
  const after = witness.heard.slice(before).filter((name) => name !== "writable");
  expect(after).toEqual(["opened", "secured", "data", "closed"]);
  expect(Buffer.concat(witness.data.slice(-1)).toString()).toBe("second");
}

describe.each(WAYS)("abort is silent %s", (_, way) => {
  beforeEach(async () => {
    proxy = await way();
  });
  afterEach(() => {
    proxy = null;
  });

  test("with no connection", async () => {
    const witness = new Witness(proxy);
    await expectSilence(witness);
  });

  test("in the step that heard of the open socket", async () => {
    const port = await secure(() => {}, good);
    const witness = new Witness(proxy);
    witness.onEvent = (name) => {
      if (name === "opened") witness.abort();
      witness.onEvent = () => {};
    };
    witness.open(port, authority.pem);
    await witness.until("opened");
    await expectSilence(witness);
  });

  test("in a handshake that the peer leaves hanging", async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const port = await plain((socket) => socket.on("close", resolve).resume());
    const witness = new Witness(proxy);
    witness.open(port, authority.pem);
    await witness.until("opened");
    await expectSilence(witness);
    await gone;
  });

  test("while data is coming in", async () => {
    const port = await secure((socket) => {
      const timer = setInterval(() => socket.write("noise"), 1);
      socket.on("close", () => clearInterval(timer));
    }, good);
    const witness = new Witness(proxy);
    witness.open(port, authority.pem);
    await witness.until("data");
    await expectSilence(witness);
  });

  test("after end, when the peer never closes", async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const port = await secure((socket) => socket.on("close", resolve).resume(), good);
    const witness = new Witness(proxy);
    witness.open(port, authority.pem);
    await witness.until("secured");
    witness.end();
    await expectSilence(witness);
    await gone;
  });

  test("between the close and its event", async () => {
    const witness = new Witness(proxy);
    witness.open(1, "");
    await expectSilence(witness);
  });
});

test("abort is silent while the name is looked up and TCP is pending", async () => {
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  const port = await plain((socket) => socket.on("close", resolve).resume());
  const witness = new Witness(proxy);
  witness.open(port, authority.pem);
  await expectSilence(witness);
  await gone;
});

describe.each(WAYS)("end before it was secured %s", (_, way) => {
  beforeEach(async () => {
    proxy = await way();
  });
  afterEach(() => {
    proxy = null;
  });

  test("closes and tells", async () => {
    const port = await plain(() => {});
    const witness = new Witness(proxy);
    witness.open(port, authority.pem);
    await witness.until("opened");
    witness.end();
    await witness.until("closed");
    expect(witness.story()).toBe("opened closed");
    expect(witness.cause).toBe(Cause.CLOSED_BY_PEER);
  });
});

describe.each(WAYS)("resumption %s", (_, way) => {
  beforeEach(async () => {
    proxy = await way();
  });
  afterEach(() => {
    proxy = null;
  });

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`${version}: 50 reconnects, all but the first resume`, async () => {
      let resumed = 0;
      const port = await secure(
        (socket) => {
          if (socket.isSessionReused()) resumed += 1;
          socket.once("data", (data) => socket.end(data));
        },
        { ...good, minVersion: version, maxVersion: version },
      );
      const witness = new Witness(proxy);
      for (let round = 0; round < 50; round += 1) {
        const before = witness.heard.length;
        witness.open(port, authority.pem);
        await witness.until("secured", before);
        witness.write(Buffer.from("ping"));
        await witness.until("closed", before);
        expect(witness.cause).toBe(Cause.CLOSED_BY_PEER);
      }
      expect(witness.text()).toBe("ping".repeat(50));
      expect(resumed).toBe(49);
    });
  }

  test("not after it was told to forget", async () => {
    let resumed = 0;
    const port = await secure((socket) => {
      if (socket.isSessionReused()) resumed += 1;
      socket.once("data", (data) => socket.end(data));
    }, good);
    const witness = new Witness(proxy);
    for (let round = 0; round < 3; round += 1) {
      const before = witness.heard.length;
      if (round === 2) witness.forget();
      witness.open(port, authority.pem);
      await witness.until("secured", before);
      witness.write(Buffer.from("ping"));
      await witness.until("closed", before);
    }
    expect(resumed).toBe(1);
  });

  test("does not carry over to other roots", async () => {
    let resumed = 0;
    const port = await secure((socket) => {
      if (socket.isSessionReused()) resumed += 1;
      socket.end("hello");
    }, good);
    const witness = new Witness(proxy);
    witness.open(port, authority.pem);
    await witness.until("closed");
    const before = witness.heard.length;
    witness.open(port, stranger.pem);
    await witness.until("closed", before);
    expect(witness.heard.slice(before)).toEqual(["opened", "closed"]);
    expect(witness.cause).toBe(Cause.TLS_ISSUER_UNKNOWN);
    expect(resumed).toBe(0);
  });
});

describe.each(WAYS)("in a process of its own %s", (_, way) => {
  const SOURCES = `${import.meta.dir}/../../src`;

  /** Runs a script that opens a connection; `step` is what it does at each event, by `name`. */
  async function run(port: number, roots: string, step: string): Promise<[number, string]> {
    const proxyPort = (await way())?.port;
    const place = { host: "127.0.0.1", port: proxyPort, user: "", password: "" };
    const script = `import { ConnectProxy } from ${JSON.stringify(`${SOURCES}/core/proxy.ts`)};
      import { Dialer } from ${JSON.stringify(`${SOURCES}/port/dial.ts`)};
      import { Tls } from ${JSON.stringify(`${SOURCES}/port/tls.ts`)};
      process.on("uncaughtException", () => process.exit(3));
      const proxy = ${proxyPort !== undefined} ? new ConnectProxy(${JSON.stringify(place)}) : null;
      const at = (name, detail = "") => { ${step} };
      const tls = new Tls({
        onOpened: () => at("opened"),
        onSecured: () => { at("secured"); tls.write(new Uint8Array(1), 0, 1); },
        onData: () => { at("data"); tls.end(); },
        onWritable() {},
        onClosed: (cause, detail) => { at("closed", detail); process.exit(0); }
      }, new Dialer(proxy).open);
      tls.open({ host: "localhost", port: ${port}, roots: ${JSON.stringify(roots)} });`;
    const child = Bun.spawn([process.execPath, "-e", script], {
      stderr: "ignore",
      env: { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: "0" },
    });
    const text = await new Response(child.stdout).text();
    return [await child.exited, text];
  }

  function echo(): Promise<number> {
    return secure((socket) => {
      socket.on("data", (data) => socket.write(data)).on("end", () => socket.end());
    }, good);
  }

  test.each(["opened", "secured", "data", "closed"])(
    "what our own side throws at %p is an uncaught exception",
    async (name) => {
      const step = `console.log(name); if (name === "${name}") throw new Error("broken");`;
      const [code, text] = await run(await echo(), authority.pem, step);
      expect(code).toBe(3);
      expect(text).toEndWith(`${name}\n`);
    },
  );

  test("no variable of the environment turns verification off", async () => {
    const [code, text] = await run(await echo(), stranger.pem, "console.log(name, detail);");
    expect(code).toBe(0);
    expect(text).toMatch(/^opened \nclosed UNABLE_[A-Z_]+; subject good,[^\n]*\n$/);
  });
});
