// Client: a second opinion on a TPM: commands put together by hand, straight to swtpm.
// Neighbours: tests ask it what the TPM really holds; `maker` makes blobs for its keys.
// Invariant: imports nothing of src and knows nothing of libtss2, so it does not share mistakes.

import { createConnection, type Socket } from "node:net";
import type { Place } from "./swtpm.ts";

export const OWNER = 0x40000001;
export const ENDORSEMENT = 0x4000000b;
const NULL_HIERARCHY = 0x40000007;
const PASSWORD = 0x40000009;

/** Public areas as the TCG publishes them, and an empty sensitive part. */
const ZEROS = "00".repeat(256);
const PARMS = "00060080004300100800000000000100";
export const EK_TEMPLATE = Buffer.from(
  "013a0001000b000300b20020837197674484b3f81a90cc8d46a5d724" +
    `fd52d76e06520b64f2a1da1b331469aa${PARMS}${ZEROS}`,
  "hex",
);
export const SRK_TEMPLATE = Buffer.from(`011a0001000b000304720000${PARMS}${ZEROS}`, "hex");

/** A response: its code, what follows the head, and the parameters when there were sessions. */
export interface Answer {
  readonly rc: number;
  readonly body: Buffer;
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** Bytes behind their two bytes of size. */
export function sized(bytes: Uint8Array): Buffer {
  return Buffer.concat([u16(bytes.length), bytes]);
}

/** The value of the TPM2B that begins at `at`. */
export function unsized(bytes: Buffer, at = 0): Buffer {
  return bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at));
}

/** A command without sessions. */
export function plain(code: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([u16(0x8001), u32(10 + body.length), u32(code), body]);
}

/** A command whose handles are authorised with passwords, one for each. */
export function authorised(
  code: number,
  handles: readonly number[],
  passwords: readonly Uint8Array[],
  ...parts: readonly Uint8Array[]
): Buffer {
  const areas = passwords.map((password) =>
    Buffer.concat([u32(PASSWORD), u16(0), Buffer.from([0]), sized(password)]),
  );
  const area = Buffer.concat(areas);
  const body = Buffer.concat([...handles.map(u32), u32(area.length), area, ...parts]);
  return Buffer.concat([u16(0x8002), u32(10 + body.length), u32(code), body]);
}

const NO_PASSWORD = Buffer.alloc(0);

/** One connection; commands one after the other. */
export class Client {
  private received: Buffer = Buffer.alloc(0);
  private waiting: ((answer: Answer) => void) | null = null;

  private constructor(private readonly socket: Socket) {
    socket.on("data", (chunk) => this.onData(Buffer.from(chunk)));
  }

  static connect(place: Place): Promise<Client> {
    const { promise, resolve, reject } = Promise.withResolvers<Client>();
    const socket = createConnection("path" in place ? { path: place.path } : place);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.setNoDelay(true);
      resolve(new Client(socket));
    });
    return promise;
  }

  /** Connects, does `work`, and lets go of the TPM again. */
  static async with<T>(place: Place, work: (client: Client) => Promise<T>): Promise<T> {
    const client = await Client.connect(place);
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  }

  send(command: Uint8Array): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.waiting = resolve;
    this.socket.write(command);
    return promise;
  }

  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.socket.once("close", () => resolve());
    this.socket.end();
    return promise;
  }

  /** Startup(CLEAR); true when this was the first one. */
  async startup(): Promise<boolean> {
    return (await this.send(plain(0x144, u16(0)))).rc === 0;
  }

  /** Handles in use from `first` on, of the same range. */
  async handles(first: number): Promise<number[]> {
    const { body } = await this.send(plain(0x17a, u32(1), u32(first), u32(254)));
    const count = body.readUInt32BE(5);
    return Array.from({ length: count }, (_, index) => body.readUInt32BE(9 + 4 * index));
  }

  /** Transient objects and sessions, which nobody should have left behind. */
  async leftovers(): Promise<number[]> {
    const ranges = [0x80000000, 0x02000000, 0x03000000];
    const found: number[] = [];
    for (const range of ranges) found.push(...(await this.handles(range)));
    return found;
  }

  /** The TPM2B_PUBLIC of an object, or undefined when there is none. */
  async readPublic(handle: number): Promise<Buffer | undefined> {
    const { rc, body } = await this.send(plain(0x173, u32(handle)));
    return rc === 0 ? sized(unsized(body)) : undefined;
  }

  /** Makes a key: its handle and TPM2B_PUBLIC. */
  async createPrimary(
    hierarchy: number,
    template: Uint8Array,
  ): Promise<{ handle: number; publicArea: Buffer }> {
    const sensitive = Buffer.from("000400000000", "hex");
    const tail = [sensitive, template, u16(0), u32(0)];
    const { rc, body } = await this.send(authorised(0x131, [hierarchy], [NO_PASSWORD], ...tail));
    if (rc !== 0) throw new Error(`CreatePrimary: 0x${rc.toString(16)}`);
    return { handle: body.readUInt32BE(0), publicArea: sized(unsized(body, 8)) };
  }

  async flush(handle: number): Promise<number> {
    return (await this.send(plain(0x165, u32(handle)))).rc;
  }

  /** Keeps or removes; the code. */
  async evict(
    object: number,
    persistent: number,
    password: Uint8Array = NO_PASSWORD,
  ): Promise<number> {
    const command = authorised(0x120, [OWNER, object], [password], u32(persistent));
    return (await this.send(command)).rc;
  }

  /** Sets the password of a hierarchy that has none; the code. */
  async setPassword(hierarchy: number, password: Uint8Array): Promise<number> {
    return (await this.send(authorised(0x129, [hierarchy], [NO_PASSWORD], sized(password)))).rc;
  }

  /** Starts an unsalted policy session and leaves it: its handle. */
  async startSession(): Promise<number> {
    const nonce = sized(Buffer.alloc(16));
    const tail = [nonce, u16(0), Buffer.from([1]), u16(0x10), u16(0x0b)];
    const { body } = await this.send(
      plain(0x176, u32(NULL_HIERARCHY), u32(NULL_HIERARCHY), ...tail),
    );
    return body.readUInt32BE(0);
  }

  /** HMAC with the key's own hash, or the code that refuses it. */
  async hmac(key: number, data: Uint8Array): Promise<Buffer | number> {
    const { rc, body } = await this.send(hmacCommand(key, data));
    return rc === 0 ? unsized(body, 4) : rc;
  }

  private onData(chunk: Buffer): void {
    this.received = Buffer.concat([this.received, chunk]);
    if (this.received.length < 10) return;
    const size = this.received.readUInt32BE(2);
    if (this.received.length < size) return;
    const body = Buffer.from(this.received.subarray(10, size));
    const rc = this.received.readUInt32BE(6);
    this.received = this.received.subarray(size);
    const { waiting } = this;
    this.waiting = null;
    waiting?.({ rc, body });
  }
}

/** TPM2_HMAC with an empty password; the bytes that a floor of speed is measured with. */
export function hmacCommand(key: number, data: Uint8Array): Buffer {
  return authorised(0x155, [key], [NO_PASSWORD], sized(data), u16(0x10));
}
