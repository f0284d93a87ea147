// Tests of what src/port/tls.ts and src/port/https.ts show of the device: its certificate, or none.
// Neighbours: certificates.ts makes the certificates, uplink.ts the servers.
// Invariant: the server says what it was shown; no port is believed about itself.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { Cause, type Probed, type Shown, type WebAnswer } from "../../src/core/effects.ts";
import { Dialer } from "../../src/port/dial.ts";
import { HttpsProbe, HttpsWeb } from "../../src/port/https.ts";
import { Authority, type Identity } from "./certificates.ts";
import { closeServers, secure, Witness } from "./uplink.ts";

const open = new Dialer(null).open;

let authority: Authority;
let makers: Authority;
let good: Identity;
let device: Identity;

beforeAll(() => {
  authority = new Authority("Test Authority");
  makers = new Authority("Makers of Gateways");
  good = authority.leaf("good", "DNS:localhost");
  device = makers.leaf("gw-1", "DNS:gw-1", undefined, "clientAuth");
});

afterAll(() => {
  authority.remove();
  makers.remove();
});

let judging: Bun.Subprocess<"pipe", "pipe", "ignore"> | undefined;
afterEach(async () => {
  closeServers();
  judging?.kill();
  await judging?.exited;
  judging = undefined;
});

/** An OpenSSL server that takes certificates of the makers alone, and says so in an alert. */
async function judge(version: string): Promise<number> {
  const { cert, key } = good;
  for (const [name, text] of Object.entries({ cert, key, makers: makers.pem })) {
    writeFileSync(join(authority.folder, `judge.${name}`), text);
  }
  const files = ["-cert", "judge.cert", "-key", "judge.key", "-CAfile", "judge.makers"];
  const rules = ["-Verify", "1", "-verify_return_error", version];
  judging = Bun.spawn(["openssl", "s_server", "-accept", "127.0.0.1:0", ...files, ...rules], {
    cwd: authority.folder,
    // The end of its input would end the server.
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  let said = "";
  // Read by hand: leaving a loop over the stream would close it, and end the server.
  const reader = judging.stdout.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    said += new TextDecoder().decode(part.value);
    const port = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`the server ended: ${said}`);
}

/** Names that a server was shown, one for each connection; "" for no certificate. */
interface Door {
  readonly port: number;
  readonly names: string[];
}

/** A server that asks for a certificate, and when `isStrict` takes none but the makers'. */
async function door(isStrict: boolean, version: "TLSv1.2" | "TLSv1.3" = "TLSv1.3"): Promise<Door> {
  const names: string[] = [];
  const answer = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
  const port = await secure(
    (socket: TLSSocket) => {
      names.push(String(socket.getPeerCertificate()?.subject?.CN ?? ""));
      socket.once("data", () => socket.write(answer));
    },
    {
      ...good,
      ca: makers.pem,
      requestCert: true,
      rejectUnauthorized: isStrict,
      minVersion: version,
      maxVersion: version,
    },
  );
  return { port, names };
}

/** Opens the uplink and writes a byte; why it ended, or "" when it was answered. */
async function dial(port: number, shown: Shown): Promise<string> {
  const witness = new Witness(null, "", shown);
  witness.open(port, authority.pem);
  witness.onEvent = (name) => {
    if (name === "secured") witness.write(Uint8Array.of(0x10));
  };
  await Promise.race([witness.until("data"), witness.until("closed")]);
  const isAnswered = witness.heard.includes("data");
  witness.abort();
  return isAnswered ? "" : `${Cause[witness.cause]} ${witness.detail}`;
}

function ask(port: number, shown: Shown): Promise<WebAnswer> {
  const { promise, resolve } = Promise.withResolvers<WebAnswer>();
  const web = new HttpsWeb(
    { onFetched: (_ticket, answer) => resolve(answer) },
    open,
    undefined,
    shown,
  );
  const request = {
    method: "PUT",
    host: "localhost",
    port,
    path: "/x",
    authorization: "",
  } as const;
  web.ask(1, { ...request, body: "{}" }, authority.pem);
  return promise;
}

function probe(port: number, shown: Shown): Promise<Probed> {
  const { promise, resolve } = Promise.withResolvers<Probed>();
  const one = new HttpsProbe({ onProbed: resolve }, open, undefined, shown);
  one.probe("localhost", port, "/x", "", authority.pem);
  return promise;
}

describe("a server that asks for a certificate", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`${version}: is shown it by the uplink, by requests and by the probe`, async () => {
      const { port, names } = await door(true, version);
      expect(await dial(port, device)).toBe("");
      expect((await ask(port, device)).status).toBe(204);
      expect((await probe(port, device)).status).toBe(204);
      expect(names).toEqual(["gw-1", "gw-1", "gw-1"]);
    });

    test(`${version}: is shown none by a device without one`, async () => {
      const { port, names } = await door(false, version);
      expect(await dial(port, {})).toBe("");
      expect((await ask(port, {})).status).toBe(204);
      expect((await probe(port, {})).status).toBe(204);
      expect(names).toEqual(["", "", ""]);
    });
  }

  test("is shown it again at each reconnect, which resumes no session", async () => {
    const seen: string[] = [];
    const port = await secure(
      (socket: TLSSocket) => {
        const { CN } = socket.getPeerCertificate().subject;
        seen.push(`${CN} ${socket.isSessionReused() ? "resumed" : "anew"}`);
        socket.once("data", (data) => socket.end(data));
      },
      { ...good, requestCert: true, rejectUnauthorized: false },
    );
    const witness = new Witness(null, "", device);
    for (let times = 1; times <= 3; times++) {
      const from = witness.heard.length;
      witness.open(port, authority.pem);
      await witness.until("secured", from);
      witness.write(Uint8Array.of(0x10));
      await witness.until("closed", from);
    }
    expect(seen).toEqual(["gw-1 anew", "gw-1 anew", "gw-1 anew"]);
  });
});

describe("a server that does not take the certificate", () => {
  for (const version of ["-tls1_2", "-tls1_3"]) {
    test(`${version}: is told from other failures of TLS, in the words of its alert`, async () => {
      const stranger = authority.leaf(`stranger${version}`, "DNS:x", undefined, "clientAuth");
      const port = await judge(version);
      expect(await dial(port, stranger)).toMatch(/^TLS_HANDSHAKE_FAILED .*TLSV1_ALERT_UNKNOWN_CA$/);
      expect(await ask(port, stranger)).toMatchObject({
        status: 0,
        problem: expect.stringMatching(/TLSV1_ALERT_UNKNOWN_CA$/),
      });
      expect((await probe(port, stranger)).status).toBe(0);
    });
  }
});
