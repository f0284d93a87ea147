/**
 * The public area of a TPM key, as devices send EK and SRK: TPM2B_PUBLIC. Neighbours: `blob.ts`
 * encrypts to it. Facts: TPM 2.0 part 2, TPMT_PUBLIC; IoT devices send RSA-2048 storage keys.
 * Invariant: what parses is a restricted decryption key of 2048 bits with AES-128-CFB.
 */
import { createHash } from "node:crypto";
import { fromBase64, u16 } from "./bytes.ts";

const RSA = 0x0001;
const SHA256 = 0x000b;
const AES_128_CFB = "000600800043";
const NO_SCHEME = 0x0010;
const KEY_BITS = 2048;
const MODULUS_BYTES = 256;
const EXPONENT = 65_537;
const RESTRICTED_DECRYPT = 0x0003_0000;
/** Bytes from the unique field's size back to the start of the parameters. */
const PARAMETERS_BYTES = 14;

/** A key of a device's TPM. */
export interface PublicArea {
  /** Whole TPM2B_PUBLIC, base64, as the device sent it. */
  text: string;
  /** 256 bytes; the exponent is 65537. */
  modulus: Buffer;
  /** Algorithm and SHA-256 of the area: 34 bytes. */
  name: Buffer;
}

/** Reads fields behind `start`; a text instead is the problem. */
function parameters(area: Buffer, start: number): Buffer | string {
  if (start + PARAMETERS_BYTES + 2 + MODULUS_BYTES !== area.length) {
    return `public area of ${area.length} bytes does not fit RSA-2048`;
  }
  if (area.toString("hex", start, start + 6) !== AES_128_CFB) return "not with AES-128-CFB";
  if (area.readUInt16BE(start + 6) !== NO_SCHEME) return "with a scheme of its own";
  if (area.readUInt16BE(start + 8) !== KEY_BITS) return "not of 2048 bits";
  const exponent = area.readUInt32BE(start + 10);
  if (exponent !== 0 && exponent !== EXPONENT) return "exponent other than 65537";
  if (area.readUInt16BE(start + PARAMETERS_BYTES) !== MODULUS_BYTES) return "modulus is cut";
  const modulus = area.subarray(start + PARAMETERS_BYTES + 2);
  const isWhole = modulus[0]! >= 0x80 && (modulus[MODULUS_BYTES - 1]! & 1) === 1;
  return isWhole ? modulus : "modulus is not one of RSA-2048";
}

/** Parses the base64 of a TPM2B_PUBLIC; a text instead is the problem. */
export function parseArea(text: string): PublicArea | string {
  const whole = fromBase64(text);
  if (whole === undefined) return "not base64";
  if (whole.length < 12 || whole.readUInt16BE(0) !== whole.length - 2) {
    return "not a TPM2B_PUBLIC: its size field does not fit";
  }
  const area = whole.subarray(2);
  if (area.readUInt16BE(0) !== RSA) return "not an RSA key";
  if (area.readUInt16BE(2) !== SHA256) return "name algorithm is not SHA-256";
  if ((area.readUInt32BE(4) & RESTRICTED_DECRYPT) !== RESTRICTED_DECRYPT) {
    return "not a restricted decryption key";
  }
  const modulus = parameters(area, 10 + area.readUInt16BE(8));
  if (typeof modulus === "string") return modulus;
  const digest = createHash("sha256").update(area).digest();
  return { text, modulus, name: Buffer.concat([u16(SHA256), digest]) };
}
