// WebSocket: reads the frames that a server may send (RFC 6455, 5), in place, out of the chunks as
// they come. MQTT is a stream to which frames mean nothing (MQTT-6.0.0-2), so data is handed on as
// positions in the chunk, however its frames and fragments are cut.
// Neighbours: masker.ts writes the client's frames; core/websocket.ts drives both.
// Invariant: holds no more than one control frame's 125 bytes; the same stream gives the same data,
// pings and refusal however it is torn; nothing is read after a refusal or a close.

import { validUtf8 } from "./utf8.ts";

/** Kinds of frames (RFC 6455, 5.2). */
export enum Opcode {
  CONTINUATION = 0x0,
  TEXT = 0x1,
  BINARY = 0x2,
  CLOSE = 0x8,
  PING = 0x9,
  PONG = 0xa,
}

/** What {@link FrameReader.next} found. */
export enum FrameResult {
  /** The chunk is used up. */
  MORE,
  /** `chunk[start..end)` is data, at least one byte. */
  DATA,
  /** `control[0..controlLength)` must be sent back as a pong (RFC 6455, 5.5.2). */
  PING,
  /** The server closes with `closeCode`; nothing is read behind it. */
  CLOSE,
  /** The server broke the rules: `problem`. */
  REFUSED,
}

/** Longest payload of a control frame (RFC 6455, 5.5). */
export const CONTROL_BYTES_MAX = 125;
/** What stands for a close without a code (RFC 6455, 7.1.5). */
export const CLOSE_NO_CODE = 1005;

const FINAL = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;
const NOTHING = new Uint8Array(0);

enum Step {
  FIRST,
  LENGTH,
  EXTENDED,
  PAYLOAD,
  OVER,
}

/** Strict reader of a server's frames. Give it a chunk, call `next()` until it says MORE. */
export class FrameReader {
  start = 0;
  end = 0;
  readonly control = new Uint8Array(CONTROL_BYTES_MAX);
  controlLength = 0;
  /** Code of the close, 1005 when it had none. */
  closeCode = CLOSE_NO_CODE;
  /** Why REFUSED, in a few words; "" before that. */
  problem = "";
  private chunk: Uint8Array = NOTHING;
  private at = 0;
  private step = Step.FIRST;
  private opcode = Opcode.BINARY;
  private isFinal = true;
  /** A message was begun and its last fragment has not come. */
  private isFragmented = false;
  /** Bytes of the extended length still to come, and of the payload. */
  private lengthBytes = 0;
  private lengthForm = 0;
  private left = 0;

  /** @param bytesMax longest payload of one frame, 125 .. 2^31 - 1 */
  constructor(private readonly bytesMax: number) {}

  /** For a new connection. */
  reset(): void {
    this.chunk = NOTHING;
    this.at = 0;
    this.step = Step.FIRST;
    this.isFragmented = false;
    this.problem = "";
  }

  /** Takes the next chunk from `from` on; the last one must be used up. */
  feed(chunk: Uint8Array, from: number): void {
    this.chunk = chunk;
    this.at = from;
  }

  next(): FrameResult {
    const { chunk } = this;
    while (this.at < chunk.length) {
      switch (this.step) {
        case Step.FIRST:
          if (!this.first(chunk[this.at++]!)) return FrameResult.REFUSED;
          break;
        case Step.LENGTH:
          if (!this.length(chunk[this.at++]!)) return FrameResult.REFUSED;
          break;
        case Step.EXTENDED:
          if (!this.extended(chunk[this.at++]!)) return FrameResult.REFUSED;
          break;
        case Step.PAYLOAD:
          if (this.opcode <= Opcode.BINARY) return this.data();
          this.collect();
          break;
        case Step.OVER:
          this.at = chunk.length;
          return this.problem === "" ? FrameResult.MORE : FrameResult.REFUSED;
      }
      // An empty payload is as whole as a full one.
      if (this.step === Step.PAYLOAD && this.left === 0) {
        const result = this.finish();
        if (result !== FrameResult.MORE) return result;
      }
    }
    return this.problem === "" ? FrameResult.MORE : FrameResult.REFUSED;
  }

  private first(byte: number): boolean {
    const opcode = byte & 0x0f;
    this.isFinal = (byte & FINAL) !== 0;
    this.opcode = opcode;
    this.step = Step.LENGTH;
    if ((byte & RESERVED) !== 0) return this.refuse("reserved bits set");
    switch (opcode) {
      case Opcode.CONTINUATION:
        return this.isFragmented || this.refuse("a continuation of nothing");
      case Opcode.BINARY:
        return !this.isFragmented || this.refuse("a message within a message");
      case Opcode.TEXT:
        // MQTT-6.0.0-1.
        return this.refuse("a text frame");
      case Opcode.CLOSE:
      case Opcode.PING:
      case Opcode.PONG:
        this.controlLength = 0;
        return this.isFinal || this.refuse("a control frame in fragments");
      default:
        return this.refuse(`reserved opcode ${opcode}`);
    }
  }

  private length(byte: number): boolean {
    if ((byte & MASKED) !== 0) return this.refuse("a masked frame");
    if (byte > CONTROL_BYTES_MAX && this.opcode >= Opcode.CLOSE) {
      return this.refuse("a control frame of more than 125 bytes");
    }
    this.left = byte;
    this.step = Step.PAYLOAD;
    if (byte <= CONTROL_BYTES_MAX) return true;
    this.lengthForm = byte === 126 ? 2 : 8;
    this.lengthBytes = this.lengthForm;
    this.left = 0;
    this.step = Step.EXTENDED;
    return true;
  }

  private extended(byte: number): boolean {
    // Never beyond 2^39 here, so no 64-bit length overflows.
    this.left = this.left * 256 + byte;
    this.lengthBytes -= 1;
    if (this.left > this.bytesMax) {
      return this.refuse(`a frame of more than ${this.bytesMax} bytes`);
    }
    if (this.lengthBytes > 0) return true;
    // RFC 6455, 5.2: the least number of bytes must be used.
    const least = this.lengthForm === 2 ? 126 : 65_536;
    this.step = Step.PAYLOAD;
    return this.left >= least || this.refuse("a length in too many bytes");
  }

  private data(): FrameResult {
    const size = Math.min(this.left, this.chunk.length - this.at);
    this.start = this.at;
    this.end = this.at + size;
    this.at = this.end;
    this.left -= size;
    if (this.left === 0) this.finish();
    return FrameResult.DATA;
  }

  private collect(): void {
    const { chunk, control } = this;
    while (this.left > 0 && this.at < chunk.length) {
      control[this.controlLength++] = chunk[this.at++]!;
      this.left -= 1;
    }
  }

  /** A frame is whole. */
  private finish(): FrameResult {
    this.step = Step.FIRST;
    switch (this.opcode) {
      case Opcode.PING:
        return FrameResult.PING;
      case Opcode.CLOSE:
        return this.close();
      case Opcode.PONG:
        return FrameResult.MORE;
      default:
        this.isFragmented = !this.isFinal;
        return FrameResult.MORE;
    }
  }

  private close(): FrameResult {
    this.step = Step.OVER;
    const { control, controlLength } = this;
    this.closeCode = controlLength < 2 ? CLOSE_NO_CODE : control[0]! * 256 + control[1]!;
    const isSound =
      controlLength === 0 ||
      (controlLength >= 2 &&
        isCloseCode(this.closeCode) &&
        validUtf8(control, 2, controlLength) < 0);
    if (isSound) return FrameResult.CLOSE;
    this.refuse("a close that breaks its rules");
    return FrameResult.REFUSED;
  }

  private refuse(problem: string): false {
    this.problem = problem;
    this.step = Step.OVER;
    return false;
  }
}

/** Codes that may stand in a close frame (RFC 6455, 7.4; 1012 to 1014 by its registry). */
function isCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}
