// Tpm: `azimuth tpm`, which looks into the TPM without agent, settings or network.
// Neighbours: `core/survey` carries an inquiry through, `core/tpminfo` says what was found.
// Invariant: nothing in the TPM changes unless --create was given.

import { createHash } from "node:crypto";
import { drawBarcode } from "../core/barcode.ts";
import { Inquiry } from "../core/inquiry.ts";
import { Survey } from "../core/survey.ts";
import {
  enrollmentJson,
  infoJson,
  infoText,
  scanText,
  type TpmInfo,
  tpmInfo,
} from "../core/tpminfo.ts";
import type { TpmCommand } from "../core/usage.ts";
import { barcode } from "../port/barcode.ts";
import { macAddress } from "../port/network.ts";
import { FIRST_ANSWER_MS, makeCourier } from "./chip.ts";
import { fail, say, warn } from "./speech.ts";

/** Columns that are drawn into when nothing tells how many there are: a serial console's. */
const COLUMNS = 80;

/** Asks the TPM; what was found, or a problem, is in the inquiry afterwards. */
async function inquire(command: TpmCommand): Promise<Inquiry> {
  const { place, placeText, isCreating } = command;
  const isRaw = !("device" in place);
  const inquiry = new Inquiry(isRaw, isCreating);
  const { promise, resolve } = Promise.withResolvers<void>();
  const survey = new Survey(inquiry, resolve);
  const courier = makeCourier(survey, place, command.library, "azimuth tpm");
  if (isRaw) setTimeout(() => survey.onOverdue(placeText), FIRST_ANSWER_MS);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => survey.onCancel());
  survey.start(courier);
  await promise;
  courier.close();
  return inquiry;
}

/** `azimuth tpm`. */
export async function tpm(command: TpmCommand): Promise<void> {
  const { problem, findings } = await inquire(command);
  if (problem !== "") fail([`azimuth tpm: ${problem}`], 1);
  const info = tpmInfo(findings, (bytes) => createHash("sha256").update(bytes).digest());
  const text = await written(info, command);
  say(text.replace(/\n$/, ""));
  // A socket that was let go of keeps its timers, and the process with them.
  process.exit(0);
}

/** What is asked for, as text. */
async function written(info: TpmInfo, command: TpmCommand): Promise<string> {
  if (command.output === "json") return infoJson(info);
  if (command.output === "enrollment") return enrollment(info, command.deviceId);
  const scanned = command.isScanned ? scanText(info) : undefined;
  if (scanned === undefined) return infoText(info);
  const columns = process.stdout.columns ?? COLUMNS;
  const squares = await barcode(scanned, columns);
  if (typeof squares === "number") {
    fail([`azimuth tpm: --qr wants ${squares} columns, here are ${columns}`], 1);
  }
  return `${infoText(info)}\n${drawBarcode(squares)}`;
}

function enrollment(info: TpmInfo, wanted: string): string {
  const deviceId = wanted || macAddress();
  if (deviceId === "") {
    fail(["azimuth tpm: no network interface to name the device after; give --device-id"], 1);
  }
  const text = enrollmentJson(info, deviceId);
  const notes = info.notes.map((note) => `azimuth tpm: ${note}`);
  if (text === undefined) fail(notes, 1);
  for (const note of notes) warn(note);
  return text;
}
