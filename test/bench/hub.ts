// Hub: the servers that clients are measured against, and an identity at them.
// Neighbours: `test/azure` is local Azure; native/sink.c acknowledges faster than any client sends.
// Invariant: both have the same certificate under the same authority, so that a handshake costs
// the same; keys are made for the run and die with it.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { makeSas } from "../azure/model/sas.ts";
import { credentials } from "../azure/server/authority.ts";
import type { Ready } from "../azure/server/ready.ts";
import { Service } from "./child.ts";
import { BUN, TREE } from "./place.ts";
import { program } from "./workshop.ts";

const TOKEN_S = 3600;
const KEY_BYTES = 32;
const DEVICE = "gateway-000001";
const HOST = "localhost";

/** Where a device connects to, and as whom. */
export interface Identity {
  readonly host: string;
  readonly port: number;
  readonly httpsPort: number;
  readonly caFile: string;
  readonly hubName: string;
  readonly deviceId: string;
  /** base64 */
  readonly key: string;
  readonly username: string;
  readonly token: string;
}

/** A running server with the identity that it knows. */
export interface Hub {
  readonly identity: Identity;
  stop(): Promise<void>;
}

/** Certificate and key of the servers in a folder, made when they are not there; and the root. */
export function certificateIn(folder: string): readonly [string, string, string] {
  const { caFile } = credentials(folder, [HOST], "ec");
  return [join(folder, "server.pem"), join(folder, "server.key"), caFile];
}

/** An identity at a server of our own; local Azure knows it when it is started with its key. */
export function identityAt(port: number, httpsPort: number, caFile: string, key: string): Identity {
  const expiryS = Math.floor(Date.now() / 1000) + TOKEN_S;
  return {
    host: HOST,
    port,
    httpsPort,
    caFile,
    hubName: HOST,
    deviceId: DEVICE,
    key,
    username: `${HOST}/${DEVICE}/?api-version=2021-04-12`,
    token: makeSas(`${HOST}/devices/${DEVICE}`, expiryS, key),
  };
}

export function makeKey(): string {
  return randomBytes(KEY_BYTES).toString("base64");
}

/** Local Azure with one device. */
export async function startAzure(folder: string): Promise<Hub> {
  const key = makeKey();
  certificateIn(folder);
  const service = await Service.start<Ready>([
    BUN,
    join(TREE, "test/azure/main.ts"),
    "serve",
    "--quiet",
    ...["--data", folder, "--device", `${DEVICE}:${key}`],
  ]);
  const { mqttPort, httpsPort, caFile } = service.ready;
  return { identity: identityAt(mqttPort, httpsPort, caFile, key), stop: () => service.stop() };
}

/** The server in C that acknowledges all that one read brought with one write. */
export async function startSink(folder: string): Promise<Hub> {
  const [certificate, key, caFile] = certificateIn(folder);
  const command = [program("sink"), certificate, key];
  const service = await Service.start<{ readonly port: number }>(command);
  const { port } = service.ready;
  return { identity: identityAt(port, 443, caFile, makeKey()), stop: () => service.stop() };
}
