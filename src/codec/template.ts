// Template: the public areas that endorsement and storage root keys are made from.
// Neighbours: request.ts sends one with CREATE_PRIMARY; public.ts tells whether a key is like one.
// Invariant: another byte here is another key, and so another device at DPS.

import { joined, sized } from "./cursor.ts";
import { Algorithm, Attribute } from "./public.ts";

const KEY_BITS = 2048;
const KEY_BYTES = KEY_BITS / 8;

/** PolicySecret(TPM_RH_ENDORSEMENT) (TCG EK Credential Profile, B.3.3). */
const ENDORSEMENT_POLICY = new Uint8Array([
  0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
  0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
]);

const PARENT_ATTRIBUTES =
  Attribute.FIXED_TPM |
  Attribute.FIXED_PARENT |
  Attribute.SENSITIVE_DATA_ORIGIN |
  Attribute.RESTRICTED |
  Attribute.DECRYPT;
const ENDORSEMENT_ATTRIBUTES = PARENT_ATTRIBUTES | Attribute.ADMIN_WITH_POLICY;
const STORAGE_ATTRIBUTES = PARENT_ATTRIBUTES | Attribute.USER_WITH_AUTH | Attribute.NO_DA;
/** A key of ours that stays in this TPM; its value comes from outside. */
const SEALED_ATTRIBUTES =
  Attribute.FIXED_TPM |
  Attribute.FIXED_PARENT |
  Attribute.USER_WITH_AUTH |
  Attribute.NO_DA |
  Attribute.SIGN;

const ZEROS = new Uint8Array(KEY_BYTES);
const NOTHING = new Uint8Array(0);

/** Endorsement key, RSA 2048, template L-1 of the TCG: the key that EK certificates are for. */
export const ENDORSEMENT_TEMPLATE = storage(ENDORSEMENT_ATTRIBUTES, ENDORSEMENT_POLICY, ZEROS);
/** Storage root key, RSA 2048, likewise (TCG TPM v2.0 Provisioning Guidance, 7.5.1). */
export const STORAGE_TEMPLATE = storage(STORAGE_ATTRIBUTES, NOTHING, ZEROS);
/** The same with an empty `unique`, as Microsoft's C and Node.js clients ask for: other keys. */
export const ENDORSEMENT_TEMPLATE_EMPTY = storage(
  ENDORSEMENT_ATTRIBUTES,
  ENDORSEMENT_POLICY,
  NOTHING,
);
export const STORAGE_TEMPLATE_EMPTY = storage(STORAGE_ATTRIBUTES, NOTHING, NOTHING);

/** An HMAC-SHA256 key whose value is given with CREATE and which never leaves the TPM. */
export const SEALED_TEMPLATE = sized(
  joined(
    u16(Algorithm.KEYEDHASH),
    u16(Algorithm.SHA256),
    u32(SEALED_ATTRIBUTES),
    sized(NOTHING),
    u16(Algorithm.HMAC),
    u16(Algorithm.SHA256),
    sized(NOTHING),
  ),
);

function storage(attributes: number, policy: Uint8Array, unique: Uint8Array): Uint8Array {
  return sized(
    joined(
      u16(Algorithm.RSA),
      u16(Algorithm.SHA256),
      u32(attributes),
      sized(policy),
      u16(Algorithm.AES),
      u16(128),
      u16(Algorithm.CFB),
      u16(Algorithm.NULL),
      u16(KEY_BITS),
      u32(0),
      sized(unique),
    ),
  );
}

function u16(value: number): Uint8Array {
  return new Uint8Array([value >> 8, value & 0xff]);
}

function u32(value: number): Uint8Array {
  return new Uint8Array([value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff]);
}
