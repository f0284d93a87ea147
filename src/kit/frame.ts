// Frame: where a TPM 2.0 response ends, and whether its head is sound.
// Neighbours: the TPM ports cut a byte stream with it, and check what they hand to libtss2.
// Invariant: bytes that are refused here never reach a parser.

/** Tag, size and response code (TPM 2.0 Library, part 1, 18.9). */
export const FRAME_BYTES_MIN = 10;
/** Largest response (TCG PC Client Platform TPM Profile, TPM_PT_MAX_RESPONSE_SIZE). */
export const FRAME_BYTES_MAX = 4096;

/** What {@link frameBytes} says of a head that no TPM 2.0 sends. */
export const FRAME_UNSOUND = -1;

const TAG_NO_SESSIONS = 0x8001;
const TAG_SESSIONS = 0x8002;

/**
 * Length in bytes of the response whose first `length` bytes are given, 10 .. 4096; 0 when more
 * bytes are needed to tell; FRAME_UNSOUND when the tag or the length is none.
 */
export function frameBytes(bytes: Uint8Array, length: number): number {
  if (length < 2) return 0;
  const tag = (bytes[0]! << 8) | bytes[1]!;
  if (tag !== TAG_NO_SESSIONS && tag !== TAG_SESSIONS) return FRAME_UNSOUND;
  if (length < 6) return 0;
  const size = ((bytes[2]! << 24) | (bytes[3]! << 16) | (bytes[4]! << 8) | bytes[5]!) >>> 0;
  return size < FRAME_BYTES_MIN || size > FRAME_BYTES_MAX ? FRAME_UNSOUND : size;
}
