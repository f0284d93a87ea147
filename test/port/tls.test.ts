// Tests of src/port/tls.ts against real servers on the loopback: what works, what fails and how.
// Neighbours: certificates.ts makes the authority; uplink.ts the witness and the servers.
// Invariant: every failure is told once, with the cause that a technician can act on.

import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  spyOn,
  test,
} from "bun:test";
import { createHash } from "node:crypto";
import { createServer } from "node:net";
import type { TLSSocket, TlsOptions } from "node:tls";
import { Cause, type HttpProxy, type Target } from "../../src/core/effects.ts";
import { Dialer } from "../../src/port/dial.ts";
import { Tls } from "../../src/port/tls.ts";
import { Authority, type Identity } from "./certificates.ts";
import { closeServers, listening, plain, secure as secureWith, WAYS, Witness } from "./uplink.ts";

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

function secure(onSocket: (socket: TLSSocket) => void, options: TlsOptions = {}): Promise<number> {
  return secureWith(onSocket, { ...good, ...options });
}

function opened(port: number, changes: Partial<Target> = {}): Witness {
  const witness = new Witness(proxy);
  witness.open(port, changes.roots ?? authority.pem, changes.host);
  return witness;
}

/** Opens, waits for the end, and answers with the witness. */
async function failure(port: number, changes: Partial<Target> = {}): Promise<Witness> {
  const witness = opened(port, changes);
  await witness.until("closed");
  expect(witness.story()).not.toContain("secured");
  expect(witness.heard.filter((name) => name === "closed")).toHaveLength(1);
  return witness;
}

describe.each(WAYS)("a connection that works %s", (_, way) => {
  beforeEach(async () => {
    proxy = await way();
  });
  afterEach(() => {
    proxy = null;
  });

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`${version}: opened, secured, data both ways, closed by the peer`, async () => {
      const port = await secure(
        (socket) => socket.once("data", (data) => socket.end(`<${data}>`)),
        {
          minVersion: version,
          maxVersion: version,
        },
      );
      const witness = opened(port);
      expect(witness.write(Buffer.from("too early"))).toBe(0);
      await witness.until("secured");
      expect(witness.write(Buffer.from("..hello.."), 2, 7)).toBe(5);
      await witness.until("closed");
      expect(witness.story()).toBe("opened secured data closed");
      expect(witness.text()).toBe("<hello>");
      expect(witness.cause).toBe(Cause.CLOSED_BY_PEER);
      expect(witness.write(Buffer.from("too late"))).toBe(0);
    });

    test(`${version}: after end the peer is still heard, then closed comes once`, async () => {
      const port = await secure(
        (socket) => {
          let text = "";
          socket.on("data", (data) => (text += data));
          socket.on("end", () => socket.end(`got ${text}`));
        },
        { minVersion: version, maxVersion: version },
      );
      const witness = opened(port);
      await witness.until("secured");
      witness.write(Buffer.from("last words"));
      witness.end();
      witness.end();
      expect(witness.write(Buffer.from("too late"))).toBe(0);
      await witness.until("closed");
      expect(witness.text()).toBe("got last words");
      expect(witness.story()).toBe("opened secured data closed");
      expect(witness.cause).toBe(Cause.CLOSED_BY_PEER);
      witness.end();
    });

    test(`${version}: 20 MB through a full socket arrive unchanged`, async () => {
      const arrived = createHash("sha256");
      const { promise: done, resolve } = Promise.withResolvers<void>();
      const port = await secure(
        (socket) => {
          socket.on("data", (data) => {
            arrived.update(data);
            socket.pause();
            setTimeout(() => socket.resume(), 1);
          });
          socket.on("end", () => {
            resolve();
            socket.end();
          });
        },
        { minVersion: version, maxVersion: version },
      );
      const bytes = new Uint8Array(20 * 1024 * 1024);
      for (let index = 0; index < bytes.length; index += 1) bytes[index] = (index * 31) >> 5;
      const witness = new Witness(proxy);
      let sent = 0;
      let fulls = 0;
      const pump = () => {
        for (;;) {
          const taken = witness.write(bytes, sent, bytes.length);
          sent += taken;
          if (taken === 0) break;
        }
        if (sent === bytes.length) witness.end();
        else fulls += 1;
      };
      witness.onEvent = (name) => {
        if ((name === "secured" || name === "writable") && sent < bytes.length) pump();
      };
      witness.open(port, authority.pem);
      await done;
      await witness.until("closed");
      expect(fulls).toBeGreaterThan(0);
      expect(arrived.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
    });
  }

  test("an address is checked against the addresses in the certificate", async () => {
    const identity = authority.leaf("address", "IP:127.0.0.1");
    const port = await secure((socket) => socket.end("hi"), { ...identity });
    const witness = opened(port, { host: "127.0.0.1" });
    await witness.until("closed");
    expect(witness.story()).toBe("opened secured data closed");
  });
});

describe.each(WAYS)("every failure of TLS has its cause %s", (_, way) => {
  beforeEach(async () => {
    proxy = await way();
  });
  afterEach(() => {
    proxy = null;
  });

  test("unknown issuer", async () => {
    const port = await secure(() => {});
    const witness = await failure(port, { roots: stranger.pem });
    expect(witness.cause).toBe(Cause.TLS_ISSUER_UNKNOWN);
    expect(witness.detail).toContain("issuer Test Authority");
  });

  test("self-signed", async () => {
    const own = authority.selfSigned("own", "Own Thing", "DNS:localhost");
    const witness = await failure(await secure(() => {}, { ...own }));
    expect(witness.cause).toBe(Cause.TLS_ISSUER_UNKNOWN);
    expect(witness.detail).toContain("subject Own Thing");
  });

  test("wrong name", async () => {
    const other = authority.leaf("other", "DNS:other.example");
    const witness = await failure(await secure(() => {}, { ...other }));
    expect(witness.cause).toBe(Cause.TLS_NAME_MISMATCH);
    expect(witness.detail).toContain("other.example");
  });

  test("not yet valid", async () => {
    const validity = { from: "20390102030405Z", until: "20450101000000Z" };
    const early = authority.leaf("early", "DNS:localhost", validity);
    const witness = await failure(await secure(() => {}, { ...early }));
    expect(witness.cause).toBe(Cause.TLS_NOT_YET_VALID);
    expect(witness.detail).toContain("valid 2039-01-02T03:04:05Z to 2045-01-01T00:00:00Z");
  });

  test("expired", async () => {
    const validity = { from: "20200101000000Z", until: "20210101000000Z" };
    const late = authority.leaf("late", "DNS:localhost", validity);
    const witness = await failure(await secure(() => {}, { ...late }));
    expect(witness.cause).toBe(Cause.TLS_EXPIRED);
    expect(witness.detail).toContain("to 2021-01-01T00:00:00Z");
  });

  test("a certificate that may not be used by a server", async () => {
    const client = authority.leaf("client", "DNS:localhost", undefined, "clientAuth");
    const witness = await failure(await secure(() => {}, { ...client }));
    expect(witness.cause).toBe(Cause.TLS_REVOKED_OR_BAD);
  });

  test("TLS 1.1 only", async () => {
    const port = await secure(() => {}, { minVersion: "TLSv1", maxVersion: "TLSv1.1" });
    expect((await failure(port)).cause).toBe(Cause.TLS_TOO_OLD);
  });

  test("a reset after it was secured", async () => {
    const port = await secure((socket) => socket.once("data", () => socket.resetAndDestroy()));
    const witness = opened(port);
    await witness.until("secured");
    witness.write(Buffer.from("x"));
    await witness.until("closed");
    expect(witness.cause).toBe(Cause.TCP_RESET);
  });

  test("an alert after it was secured names its reason", async () => {
    const port = await secure(() => {}, {
      requestCert: true,
      ca: authority.pem,
      minVersion: "TLSv1.3",
    });
    const witness = opened(port);
    await witness.until("closed");
    expect(witness.cause).toBe(Cause.TLS_HANDSHAKE_FAILED);
    expect(witness.detail).toContain("CERTIFICATE_REQUIRED");
  });
});

describe("every failure before TLS has its cause", () => {
  test("a peer that speaks plain text", async () => {
    const port = await plain((socket) => socket.write("220 ready\r\n"));
    const witness = await failure(port);
    expect(witness.cause).toBe(Cause.TLS_HANDSHAKE_FAILED);
    expect(witness.detail).toContain("WRONG_VERSION_NUMBER");
  });

  test("a peer that closes during the handshake", async () => {
    const port = await plain((socket) => socket.once("data", () => socket.end()));
    expect((await failure(port)).cause).toBe(Cause.CLOSED_BY_PEER);
  });

  test("a peer that resets during the handshake", async () => {
    const port = await plain((socket) => socket.once("data", () => socket.resetAndDestroy()));
    expect((await failure(port)).cause).toBe(Cause.TCP_RESET);
  });

  test("nobody listens", async () => {
    const port = await listening(createServer());
    closeServers();
    const witness = await failure(port);
    expect(witness.cause).toBe(Cause.REFUSED);
    expect(witness.story()).toBe("closed");
  });

  test("a name that cannot exist", async () => {
    expect((await failure(8883, { host: "no..name" })).cause).toBe(Cause.NAME_NOT_FOUND);
  });

  test("a name that nobody resolves, told from a port that does not answer", async () => {
    // A dial that hangs, for whatever reason, says nothing at all.
    const connect = spyOn(Bun, "connect").mockImplementation(() => new Promise<never>(() => {}));
    const lookup = spyOn(Bun.dns, "lookup").mockImplementation(() => new Promise<never>(() => {}));
    const heard: string[] = [];
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const tls = new Tls(
      {
        onOpened: () => void heard.push("opened"),
        onSecured: () => void heard.push("secured"),
        onData: () => void heard.push("data"),
        onWritable: () => void heard.push("writable"),
        onClosed: (cause, detail) => {
          heard.push(`${Cause[cause]} ${detail}`);
          resolve();
        },
      },
      new Dialer(null, { dialMs: 20, proxyMs: 20 }).open,
    );
    const target = { host: "hub.example", port: 8883, roots: authority.pem };
    try {
      tls.open(target);
      tls.abort();
      await Bun.sleep(60);
      expect(heard).toEqual([]);
      expect(lookup).not.toHaveBeenCalled();
      tls.open(target);
      await closed;
      expect(heard).toEqual(["NAME_LOOKUP_FAILED timed out"]);
      lookup.mockImplementation(() => Promise.reject(new Error("EAI_AGAIN")));
      tls.open(target);
      await Bun.sleep(60);
      expect(heard).toHaveLength(2);
      lookup.mockImplementation(() => Promise.resolve([]));
      tls.open(target);
      await Bun.sleep(60);
      expect(heard).toHaveLength(2);
      expect(lookup).toHaveBeenCalledTimes(3);
    } finally {
      connect.mockRestore();
      lookup.mockRestore();
    }
  });

  test("no roots, bad roots and an empty host", async () => {
    const port = await secure(() => {});
    const none = await failure(port, { roots: "" });
    expect(none.cause).toBe(Cause.SOCKET_FAILED);
    expect(none.detail).toBe("no trusted roots given");
    expect((await failure(port, { roots: "junk" })).cause).toBe(Cause.SOCKET_FAILED);
    expect((await failure(port, { host: "" })).cause).toBe(Cause.SOCKET_FAILED);
  });
});
