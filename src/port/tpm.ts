// Library: libazimuth.so, where libtss2 builds the commands to the TPM and reads its responses.
// Neighbours: `courier` drives it and carries the bytes; native/azimuth.h is the other side of
// every number here.
// Invariant: no call waits; the shared block belongs to the library and is mapped once; no pointer
// of libtss2 comes here.

import { dlopen, toArrayBuffer } from "bun:ffi";
import type { TpmRequest } from "../core/effects.ts";
import { assert } from "../kit/assert.ts";
import { FRAME_BYTES_MAX } from "../kit/frame.ts";

const LAYOUT = 1;
enum Word {
  LAYOUT,
  MAIL,
  WIRE_BYTES,
  INPUT_BYTES,
  OUTPUT_BYTES,
  HANDLE,
}
const WORDS = 8;
enum Mail {
  COMMAND = 1,
  WAITING = 2,
  RESPONSE = 3,
}

/** libazimuth.so; its state is one for the whole process. */
export class Library {
  private readonly symbols;
  private readonly words: Uint32Array;
  private readonly wire: Uint8Array;
  private readonly input: Uint8Array;
  private readonly outputs: Uint8Array;

  /** Throws an Error of one line when the file or libtss2 is missing, or of another version. */
  constructor(path: string) {
    this.symbols = loaded(path);
    const bytes = this.symbols.azimuth_tpm_block_bytes();
    const block = this.symbols.azimuth_tpm_block();
    const expected = WORDS * 4 + 3 * FRAME_BYTES_MAX;
    if (block === null || bytes !== expected) throw new Error(`${path}: of another version`);
    const memory = toArrayBuffer(block, 0, bytes);
    this.words = new Uint32Array(memory, 0, WORDS);
    if (this.words[Word.LAYOUT] !== LAYOUT) throw new Error(`${path}: of another version`);
    const buffer = (index: number) =>
      new Uint8Array(memory, WORDS * 4 + index * FRAME_BYTES_MAX, FRAME_BYTES_MAX);
    this.wire = buffer(0);
    this.input = buffer(1);
    this.outputs = buffer(2);
  }

  get hasCommand(): boolean {
    return this.words[Word.MAIL] === Mail.COMMAND;
  }

  get handle(): number {
    return this.words[Word.HANDLE]!;
  }

  get output(): Uint8Array {
    return this.outputs.subarray(0, this.words[Word.OUTPUT_BYTES]);
  }

  init(): number {
    return this.symbols.azimuth_tpm_init();
  }

  fini(): void {
    this.symbols.azimuth_tpm_fini();
  }

  start({ operation, a, b, c, d, input }: TpmRequest): number {
    this.put(input);
    return this.symbols.azimuth_tpm_start(operation, a, b, c, d);
  }

  takeCommand(): Uint8Array {
    this.words[Word.MAIL] = Mail.WAITING;
    return this.wire.subarray(0, this.words[Word.WIRE_BYTES]);
  }

  finish(response: Uint8Array): number {
    this.wire.set(response);
    this.words[Word.WIRE_BYTES] = response.length;
    this.words[Word.MAIL] = Mail.RESPONSE;
    return this.symbols.azimuth_tpm_finish();
  }

  setPassword(hierarchy: number, password: Uint8Array): number {
    this.put(password);
    return this.symbols.azimuth_tpm_auth(hierarchy);
  }

  private put(input: Uint8Array): void {
    assert(input.length <= FRAME_BYTES_MAX, "the input of a TPM operation fits its buffer");
    this.input.set(input);
    this.words[Word.INPUT_BYTES] = input.length;
  }
}

function loaded(path: string) {
  try {
    return dlopen(path, {
      azimuth_tpm_block: { args: [], returns: "ptr" },
      azimuth_tpm_block_bytes: { args: [], returns: "u32" },
      azimuth_tpm_init: { args: [], returns: "u32" },
      azimuth_tpm_fini: { args: [], returns: "void" },
      azimuth_tpm_auth: { args: ["u32"], returns: "u32" },
      azimuth_tpm_start: { args: ["u32", "u32", "u32", "u32", "u32"], returns: "u32" },
      azimuth_tpm_finish: { args: [], returns: "u32" },
    }).symbols;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${path}: not loaded: ${reason.split("\n")[0]}${advice(reason)}`);
  }
}

/** What to install when it is libtss2 that the loader does not find. */
function advice(reason: string): string {
  return /\blibtss2-[a-z]+\.so[.0-9]*: cannot open/.test(reason)
    ? "; install libtss2 (Debian packages libtss2-esys-3.0.2-0 and libtss2-mu0)"
    : "";
}
