// Seal: `azimuth seal`, which moves the key of a connection string into the TPM.
// Neighbours: `core/seal` puts it there, `core/redaction` takes it out of the text,
// `port/original` replaces the files.
// Invariant: no file loses the key before the TPM has signed with it; cut off anywhere, the agent
// runs with the settings as they are; the key is never part of a message.

import { createHmac } from "node:crypto";
import { decodeBase64 } from "../codec/base64.ts";
import { IDENTITY_HANDLE, OWNER } from "../codec/request.ts";
import { parsePlace } from "../core/place.ts";
import { sealedText, strayLine, withoutKey } from "../core/redaction.ts";
import { PROOF, Seal } from "../core/seal.ts";
import { SEALED_BYTES_MAX } from "../core/sealing.ts";
import type { EndpointSettings } from "../core/settings.ts";
import type { SealCommand } from "../core/usage.ts";
import { assert } from "../kit/assert.ts";
import { Original } from "../port/original.ts";
import { type Parsed, parse, readSecret } from "../port/settings.ts";
import { FIRST_ANSWER_MS, makeCourier } from "./chip.ts";
import { type Configuration, judge } from "./configuration.ts";
import { fail, say, warn } from "./speech.ts";

const FILE_BYTES_MAX = 256 * 1024;
const SECRET_BYTES_MAX = 4 * 1024;
const PASSWORD_BYTES_MAX = 64;

/** A file and what it will say. */
interface Change {
  readonly original: Original;
  readonly text: string;
}

/** What is to be done, and to which files, in this order. */
interface Plan {
  readonly endpoint: EndpointSettings;
  /** Base64, as it is written; secret. */
  readonly key: string;
  readonly changes: readonly Change[];
}

/** `azimuth seal`. */
export async function seal(command: SealCommand): Promise<void> {
  const plan = prepare(command);
  await enclose(command, plan);
  for (const { original, text } of plan.changes) {
    const problem = original.replace(text);
    if (problem !== "") refuse(`${problem}; the key is in the TPM, and still in the settings`);
    const isFreed = original.text.includes(plan.key);
    say(`${original.path}: ${isFreed ? "holds the key no more" : "says where the key is"}`);
  }
  const handle = `0x${IDENTITY_HANDLE.toString(16)}`;
  say(`sealed: the device key is in the TPM at ${plan.endpoint.tpm}, handle ${handle}`);
  say("an agent that runs goes on with the key that it has read; restart it");
  advise(plan);
  // A socket that was let go of keeps its timers, and the process with them.
  process.exit(0);
}

function refuse(text: string): never {
  return fail([`azimuth seal: ${text}`], 1);
}

/** What is to be done; ends the process when that is nothing, or cannot be. */
function prepare(command: SealCommand): Plan {
  const { file } = command;
  const original = Original.read(file, FILE_BYTES_MAX);
  if (typeof original === "string") refuse(original);
  const parsed = parse(original.text);
  const endpoint = endpointOf(file, parsed);
  const written = parsed.entries.find(
    ({ section, key }) => section === "endpoint" && key === "tpm",
  );
  const place = command.placeText === "" ? endpoint.tpm : command.placeText;
  if (written !== undefined && place !== endpoint.tpm) {
    refuse(`--tpm ${place} is not what ${file}:${written.line} says; allowed: the same, or none`);
  }
  const isSaid = place === endpoint.tpm;
  const text = sealedText(original.text, parsed.entries, isSaid ? "" : place);
  const changes: Change[] = text === original.text ? [] : [{ original, text }];
  const secretPath =
    parsed.entries.find(({ key }) => key === "connection-string-file")?.value ?? "";
  if (secretPath !== "") {
    const secret = Original.read(secretPath, SECRET_BYTES_MAX);
    if (typeof secret === "string") refuse(secret);
    if (!secret.text.includes(endpoint.key)) refuse(`${secretPath}: was changed meanwhile`);
    changes.push({ original: secret, text: withoutKey(secret.text) });
  }
  const plan = { endpoint: { ...endpoint, tpm: place }, key: endpoint.key, changes };
  prove(file, plan, text);
  return plan;
}

/** The endpoint with a key that can be sealed. */
function endpointOf(file: string, parsed: Parsed): EndpointSettings {
  let configured = judge(file, parsed);
  if (!("settings" in configured)) {
    // The connection string was put back, and `key = tpm` left where it was.
    const entries = parsed.entries.filter(({ section, key }) => {
      return section !== "endpoint" || key !== "key";
    });
    const unsealed = judge(file, { ...parsed, entries });
    if (!("settings" in unsealed)) fail(configured, 1);
    configured = unsealed;
  }
  const { endpoint } = configured.settings;
  if (endpoint.type !== "sas") {
    refuse(`${file}: the endpoint is of type ${endpoint.type}; allowed: sas, with a key to seal`);
  }
  if (endpoint.isSealed && endpoint.key === "") {
    say(`${file}: sealed already, the device key is in the TPM at ${endpoint.tpm}`);
    process.exit(0);
  }
  const bytes = decodeBase64(endpoint.key)?.length ?? 0;
  if (bytes === 0 || bytes > SEALED_BYTES_MAX) {
    refuse(`${file}: the key has ${bytes} bytes; allowed: 1 .. ${SEALED_BYTES_MAX}`);
  }
  return endpoint;
}

/** Makes sure that the new texts hold no key and mean what the old ones did. */
function prove(file: string, { endpoint, key, changes }: Plan, text: string): void {
  for (const { original, text: after } of changes) {
    const line = strayLine(original.text, after, key);
    if (line === 0) continue;
    refuse(`${original.path}:${line}: holds the key too; take it out there first`);
  }
  const after = judge(file, parse(text));
  if ("settings" in after && meaning(after) === JSON.stringify(bare(endpoint))) return;
  refuse(`${file}: would mean something else without the key; write it more plainly`);
}

function meaning({ settings }: Configuration): string {
  return JSON.stringify(bare(settings.endpoint));
}

function bare(endpoint: EndpointSettings): EndpointSettings {
  return { ...endpoint, isSealed: true, key: "" };
}

/** Brings the key into the TPM; ends the process when that fails. */
async function enclose(command: SealCommand, { endpoint, key }: Plan): Promise<void> {
  const place = parsePlace(endpoint.tpm);
  assert(place !== undefined, "validated settings and arguments name a place");
  const bytes = decodeBase64(key)!;
  const signature = createHmac("sha256", bytes).update(PROOF).digest();
  const { promise, resolve } = Promise.withResolvers<void>();
  const events = {
    onTpmOpened: () => sealing.onTpmOpened(),
    onTpmClosed: (detail: string) => sealing.onTpmClosed(detail),
    onTpmDone: (ticket: number, rc: number, handle: number, output: Uint8Array) =>
      sealing.onTpmDone(ticket, rc, handle, output),
  };
  const courier = makeCourier(events, place, command.library, "azimuth seal");
  courier.setPassword(OWNER, Buffer.from(passwordOf(command)));
  const { isReplacing } = command;
  const sealing: Seal = new Seal(courier, { key: bytes, signature, isReplacing }, resolve);
  if (!("device" in place)) setTimeout(() => sealing.onOverdue(endpoint.tpm), FIRST_ANSWER_MS);
  sealing.start();
  await promise;
  courier.close();
  bytes.fill(0);
  if (sealing.problem !== "") refuse(`${sealing.problem}; the settings are as they were`);
}

function passwordOf({ ownerPasswordFile }: SealCommand): string {
  if (ownerPasswordFile === "") return "";
  const secret = readSecret(ownerPasswordFile);
  if ("problem" in secret) refuse(secret.problem);
  if (secret.warning !== "") warn(`warning: ${secret.warning}`);
  const bytes = Buffer.byteLength(secret.text);
  if (bytes <= PASSWORD_BYTES_MAX) return secret.text;
  refuse(
    `${ownerPasswordFile}: a password of ${bytes} bytes; allowed: up to ${PASSWORD_BYTES_MAX}`,
  );
}

/** Where the key may be all the same. */
function advise({ changes, key }: Plan): void {
  const copies = changes.flatMap(({ original }) => original.copies(key));
  for (const path of new Set(copies)) warn(`warning: ${path}: holds the key too; remove it`);
  warn(
    "warning: flash, backups and an editor's copies may still hold the old contents, and " +
      "overwriting is no promise there; to be sure, let the hub make a new key and seal that one",
  );
}
