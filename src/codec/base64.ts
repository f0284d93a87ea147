// Base64 of bytes, as RFC 4648 section 4 writes it: keys, signatures.
// Neighbours: connection.ts checks a device key with it, sas.ts a signature.
// Invariant: decoding takes only what encoding gives; there is one text for each byte array.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD = "=";
const NOT_A_DIGIT = 64;

const VALUE = new Uint8Array(128).fill(NOT_A_DIGIT);
for (let value = 0; value < ALPHABET.length; value += 1) VALUE[ALPHABET.charCodeAt(value)] = value;

/** `bytes` in base64 with padding, without line breaks. */
export function encodeBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const second = left > 1 ? bytes[at + 1]! : 0;
    const group = (bytes[at]! << 16) | (second << 8) | (left > 2 ? bytes[at + 2]! : 0);
    text += ALPHABET[group >> 18]! + ALPHABET[(group >> 12) & 0x3f]!;
    text += left > 1 ? ALPHABET[(group >> 6) & 0x3f]! : PAD;
    text += left > 2 ? ALPHABET[group & 0x3f]! : PAD;
  }
  return text;
}

/**
 * The bytes of a base64 text, or undefined when it is not exactly in the form of RFC 4648:
 * another character (line breaks too), missing padding, or stray bits before it (section 3.5).
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const pads = text.endsWith("==") ? 2 : text.endsWith(PAD) ? 1 : 0;
  const digits = text.length - pads;
  const bytes = new Uint8Array((text.length / 4) * 3 - pads);
  let group = 0;
  let bits = 0;
  let to = 0;
  for (let at = 0; at < digits; at += 1) {
    const unit = text.charCodeAt(at);
    const value = unit < 128 ? VALUE[unit]! : NOT_A_DIGIT;
    if (value === NOT_A_DIGIT) return undefined;
    group = ((group << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[to] = group >> bits;
      to += 1;
    }
  }
  const stray = group & ((1 << bits) - 1);
  return stray === 0 ? bytes : undefined;
}
