// Tpminfo: what an operator wants to know of a TPM, as text, JSON and enrollment.
// Neighbours: `inquiry` has found it out; `main` prints it.
// Invariant: pure; a key in base64 stands alone in its line, unbroken, ready to be copied.

import { encodeBase64 } from "../codec/base64.ts";
import {
  ENDORSEMENT_AUTH_SET,
  IN_LOCKOUT,
  LOCKOUT_AUTH_SET,
  OWNER_AUTH_SET,
  Property,
  packedText,
} from "../codec/capability.ts";
import type { Sha256 } from "../codec/public.ts";
import { registrationId } from "../codec/registration.ts";
import {
  ENDORSEMENT_HANDLE,
  IDENTITY_HANDLE,
  SPARE_HANDLE,
  STORAGE_HANDLE,
} from "../codec/request.ts";
import { type Findings, type KeyFinding, KeyState, Origin } from "./inquiry.ts";
import { vendorName } from "./vendor.ts";

/** The report; what is not known is null. Times in seconds. */
export interface TpmInfo {
  readonly registrationId: string | null;
  /** TPM2B_PUBLIC in base64, as the portal and the service take it. */
  readonly endorsementKey: string | null;
  readonly endorsementKeyState: string;
  readonly endorsementKeyTemplate: string;
  readonly storageRootKey: string | null;
  readonly storageRootKeyState: string;
  /** Four letters, e.g. `IFX`, and the name that goes with them. */
  readonly manufacturer: string;
  readonly manufacturerName: string | null;
  readonly model: string;
  /** Four numbers of 16 bits, the way most makers write it; and the same in hexadecimal. */
  readonly firmwareVersion: string;
  readonly firmwareHex: string;
  readonly specificationFamily: string;
  readonly specificationLevel: number;
  readonly specificationRevision: string;
  readonly specificationYear: number;
  readonly specificationDayOfYear: number;
  readonly persistentHandles: readonly { readonly handle: string; readonly use: string | null }[];
  readonly lockout: {
    readonly lockedOut: boolean;
    readonly failedTries: number;
    readonly triesMax: number;
    /** After so long one failed try is forgotten. */
    readonly recoveryS: number;
    /** After so long the lockout password may be tried again. */
    readonly lockoutRecoveryS: number;
  };
  readonly passwordsSet: {
    readonly owner: boolean;
    readonly endorsement: boolean;
    readonly lockout: boolean;
  };
  /** What there is to say about it, one line each. */
  readonly notes: readonly string[];
}

const STATES: Readonly<Record<KeyState, string>> = {
  [KeyState.UNKNOWN]: "unknown",
  [KeyState.PERSISTENT]: "persistent",
  [KeyState.COMPUTED]: "not persisted yet",
  [KeyState.CREATED]: "created now",
};
const TEMPLATES: Readonly<Record<Origin, string>> = {
  [Origin.UNKNOWN]: "unknown",
  [Origin.TCG]: "TCG L-1",
  [Origin.EMPTY]: "empty unique",
  [Origin.OTHER]: "other",
};
/** What the names of templates mean to whoever compares keys with another tool. */
const TEMPLATE_WORDS: Readonly<Record<string, string>> = {
  "TCG L-1": "unique of 256 zero bytes, as EK certificates have it",
  "empty unique": "as Microsoft's C and Node.js clients have it",
  other: "none that azimuth knows",
};
const USES: Readonly<Record<number, string>> = {
  [ENDORSEMENT_HANDLE]: "endorsement key",
  [STORAGE_HANDLE]: "storage root key",
  [IDENTITY_HANDLE]: "device key",
  [SPARE_HANDLE]: "new device key",
};
const VENDOR_TEXT: readonly Property[] = [
  Property.VENDOR_1,
  Property.VENDOR_2,
  Property.VENDOR_3,
  Property.VENDOR_4,
];
const LABEL_COLUMNS = 20;
const MARGIN = " ".repeat(LABEL_COLUMNS);

/** The report of what an inquiry has found. */
export function tpmInfo(findings: Findings, sha256: Sha256): TpmInfo {
  const { properties, endorsement, storage } = findings;
  const value = (property: Property): number => properties.get(property) ?? 0;
  const permanent = value(Property.PERMANENT);
  const has = (bit: number): boolean => (permanent & bit) !== 0;
  const manufacturer = packedText(value(Property.MANUFACTURER));
  const isKnown = endorsement.state !== KeyState.UNKNOWN;
  return {
    registrationId: isKnown ? registrationId(endorsement.publicArea, sha256) : null,
    endorsementKey: keyText(endorsement),
    endorsementKeyState: STATES[endorsement.state],
    endorsementKeyTemplate: TEMPLATES[findings.origin],
    storageRootKey: keyText(storage),
    storageRootKeyState: STATES[storage.state],
    manufacturer,
    manufacturerName: vendorName(manufacturer) || null,
    model: VENDOR_TEXT.map((property) => vendorText(value(property)))
      .join("")
      .trim()
      .replace(/ +/g, " "),
    firmwareVersion: `${halves(value(Property.FIRMWARE_1))}.${halves(value(Property.FIRMWARE_2))}`,
    firmwareHex: hex(value(Property.FIRMWARE_1)) + digits(value(Property.FIRMWARE_2)),
    specificationFamily: packedText(value(Property.FAMILY)),
    specificationLevel: value(Property.LEVEL),
    specificationRevision: (value(Property.REVISION) / 100).toFixed(2),
    specificationYear: value(Property.YEAR),
    specificationDayOfYear: value(Property.DAY),
    persistentHandles: findings.handles.map((handle) => ({
      handle: hex(handle),
      use: USES[handle] ?? null,
    })),
    lockout: {
      lockedOut: has(IN_LOCKOUT),
      failedTries: value(Property.LOCKOUT_COUNTER),
      triesMax: value(Property.MAX_AUTH_FAIL),
      recoveryS: value(Property.LOCKOUT_INTERVAL),
      lockoutRecoveryS: value(Property.LOCKOUT_RECOVERY),
    },
    passwordsSet: {
      owner: has(OWNER_AUTH_SET),
      endorsement: has(ENDORSEMENT_AUTH_SET),
      lockout: has(LOCKOUT_AUTH_SET),
    },
    notes: notesOf(findings),
  };
}

/** The report for people; ends with a newline. */
export function infoText(info: TpmInfo): string {
  const { lockout, passwordsSet } = info;
  const isNamed = info.manufacturerName !== null && info.manufacturerName !== info.manufacturer;
  const maker = isNamed ? `${info.manufacturer} (${info.manufacturerName})` : info.manufacturer;
  const meaning = TEMPLATE_WORDS[info.endorsementKeyTemplate];
  const { specificationDayOfYear: day, specificationYear: year } = info;
  const password = (name: string, isSet: boolean) => `${name} ${isSet ? "set" : "not set"}`;
  const handles = info.persistentHandles.map(({ handle, use }) =>
    use === null ? handle : `${handle} ${use}`,
  );
  const passwords = [
    password("owner", passwordsSet.owner),
    password("endorsement", passwordsSet.endorsement),
    password("lockout", passwordsSet.lockout),
  ];
  const facts: readonly (readonly [string, string])[] = [
    ["manufacturer", maker],
    ["model", info.model],
    ["firmware", `${info.firmwareVersion} (${info.firmwareHex})`],
    [
      "specification",
      `TPM ${info.specificationFamily}, level ${info.specificationLevel}, ` +
        `revision ${info.specificationRevision}, day ${day} of ${year}`,
    ],
    ["key template", info.endorsementKeyTemplate + (meaning === undefined ? "" : ` (${meaning})`)],
    ["persistent handles", handles.length === 0 ? "none" : handles.join(`\n${MARGIN}`)],
    ["passwords", passwords.join(", ")],
    [
      "lockout",
      `${lockout.lockedOut ? "LOCKED OUT" : "no"}; ${lockout.failedTries} of ` +
        `${lockout.triesMax} failed tries, one is forgotten each ${lockout.recoveryS} s`,
    ],
  ];
  const blocks = [
    `Registration id\n${info.registrationId ?? "unknown"}`,
    `Endorsement key (${info.endorsementKeyState})\n${info.endorsementKey ?? "unknown"}`,
    `Storage root key (${info.storageRootKeyState})\n${info.storageRootKey ?? "unknown"}`,
    facts.map(([name, text]) => `${name.padEnd(LABEL_COLUMNS)}${text}`).join("\n"),
    ...(info.notes.length === 0 ? [] : [info.notes.join("\n")]),
  ];
  return `${blocks.join("\n\n")}\n`;
}

/** The report for scripts; ends with a newline. */
export function infoJson(info: TpmInfo): string {
  return `${JSON.stringify(info, null, 2)}\n`;
}

/**
 * Body of an individual enrollment at DPS (service API, 2021-10-01) for the device `deviceId`;
 * undefined when there is no endorsement key. The storage root key goes along when it is final.
 */
export function enrollmentJson(info: TpmInfo, deviceId: string): string | undefined {
  const { endorsementKey, storageRootKey, storageRootKeyState } = info;
  if (endorsementKey === null) return undefined;
  const isFinal = storageRootKeyState !== STATES[KeyState.COMPUTED] && storageRootKey !== null;
  const tpm = isFinal ? { endorsementKey, storageRootKey } : { endorsementKey };
  const enrollment = {
    registrationId: info.registrationId,
    deviceId,
    attestation: { type: "tpm", tpm },
    provisioningStatus: "enabled",
  };
  return `${JSON.stringify(enrollment, null, 2)}\n`;
}

/** What a QR code tells: registration id and endorsement key, a line each; or undefined. */
export function scanText(info: TpmInfo): string | undefined {
  if (info.endorsementKey === null) return undefined;
  return `${info.registrationId}\n${info.endorsementKey}`;
}

function keyText({ state, publicArea }: KeyFinding): string | null {
  return state === KeyState.UNKNOWN ? null : encodeBase64(publicArea);
}

function notesOf({ endorsement, storage, origin, originReason }: Findings): string[] {
  const notes = [
    ...keyNotes("endorsement key", ENDORSEMENT_HANDLE, endorsement),
    ...keyNotes("storage root key", STORAGE_HANDLE, storage),
  ];
  if (origin === Origin.UNKNOWN && endorsement.state !== KeyState.UNKNOWN) {
    notes.push(`key template not found out: ${originReason}`);
  }
  return notes;
}

function keyNotes(name: string, handle: number, { state, reason }: KeyFinding): string[] {
  const place = hex(handle);
  switch (state) {
    case KeyState.PERSISTENT:
      return [];
    case KeyState.CREATED:
      return [`${place} was empty: the ${name} was made and is there now`];
    case KeyState.COMPUTED:
      return [
        `${place} is empty: the ${name} is not persisted yet; the first registration or ` +
          "azimuth tpm --create makes this one",
      ];
    case KeyState.UNKNOWN:
      return [`${place} is empty, and what ${name} would be made is not known: ${reason}`];
  }
}

/** Four characters with their spaces: `SW  `, ` TPM`. */
function vendorText(value: number): string {
  const codes = [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
  return String.fromCharCode(...codes.filter((code) => code >= 0x20 && code < 0x7f));
}

function halves(value: number): string {
  return `${value >>> 16}.${value & 0xffff}`;
}

function hex(value: number): string {
  return `0x${digits(value)}`;
}

function digits(value: number): string {
  return value.toString(16).padStart(8, "0");
}
