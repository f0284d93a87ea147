// Sealing: the procedures that bring a key of our own into the TPM.
// Neighbours: `seal` runs them one after the other; `procedure` has the swap that keeps the key.
// Invariant: the key goes to the TPM in one command, encrypted; nothing persistent is changed here
// but an absent storage root key, which is made.

import { Cursor, isSame } from "../codec/cursor.ts";
import { isLike, PUBLIC_BYTES_MAX, parsePublic } from "../codec/public.ts";
import {
  create,
  IDENTITY_HANDLE,
  load,
  NO_SESSION,
  readPublic,
  SPARE_HANDLE,
  STORAGE_HANDLE,
  startHmac,
} from "../codec/request.ts";
import { SEALED_TEMPLATE } from "../codec/template.ts";
import { Identify, Procedure, publicIn, Sign, type Step } from "./procedure.ts";

/** Longest key: the block of SHA-256, more no TPM takes for an HMAC (part 1, 27.2.3). */
export const SEALED_BYTES_MAX = 64;
/** Largest TPM2B_PRIVATE that tpm2-tss takes. */
const PRIVATE_BYTES_MAX = 1550;

/** Looks at the places of the device key: which are taken by a key of another kind than ours. */
export class Look extends Procedure {
  readonly what = "look for keys";
  /** Handles with a key that was not made from SEALED_TEMPLATE. */
  readonly foreign: number[] = [];

  protected plan(): readonly Step[] {
    this.foreign.length = 0;
    return [SPARE_HANDLE, IDENTITY_HANDLE].map((handle) => ({
      what: `look at 0x${handle.toString(16)}`,
      ask: () => readPublic(handle),
      take: (_handle, output) => {
        if (!isOurs(publicIn(output))) this.foreign.push(handle);
        return undefined;
      },
      absent: () => [],
    }));
  }
}

function isOurs(publicArea: Uint8Array): boolean {
  const area = parsePublic(publicArea);
  const template = parsePublic(SEALED_TEMPLATE);
  return typeof area !== "string" && typeof template !== "string" && isLike(area, template);
}

/** Makes `key` a transient object, which is kept open. */
export class Enclose extends Identify {
  override readonly what = "take the key";

  /** @param key 1 .. SEALED_BYTES_MAX bytes; secret */
  constructor(private readonly key: Uint8Array) {
    super();
  }

  protected override plan(): readonly Step[] {
    let session = NO_SESSION;
    let wrapped: Uint8Array = new Uint8Array(0);
    let publicArea: Uint8Array = new Uint8Array(0);
    return [
      this.storageStep(),
      {
        what: "start a session that hides what is sent",
        ask: () => startHmac(STORAGE_HANDLE),
        take: (handle) => {
          session = handle;
          return undefined;
        },
      },
      {
        what: "wrap the key",
        ask: () => create(STORAGE_HANDLE, this.key, SEALED_TEMPLATE, session),
        take: (_handle, output) => {
          const cursor = new Cursor(output.slice());
          wrapped = cursor.whole(1, PRIVATE_BYTES_MAX);
          publicArea = cursor.whole(1, PUBLIC_BYTES_MAX);
          return cursor.isDone ? undefined : "not a private and a public area";
        },
      },
      {
        what: "load the key",
        ask: () => load(STORAGE_HANDLE, wrapped, publicArea),
        take: (handle) => {
          this.kept = handle;
          return undefined;
        },
      },
    ];
  }
}

/** Signs with a transient key, which must sign as expected and is kept open. */
export class Attempt extends Sign {
  override readonly what = "sign with the key";

  constructor(
    transient: number,
    data: Uint8Array,
    private readonly expected: Uint8Array,
  ) {
    super(transient, data);
  }

  protected override plan(): readonly Step[] {
    this.kept = this.handle;
    const step = this.mac();
    const take = (handle: number, output: Uint8Array): readonly Step[] | string | undefined => {
      const problem = step.take?.(handle, output);
      if (problem !== undefined) return problem;
      return isSame(this.signature, this.expected) ? undefined : "it signs otherwise";
    };
    return [{ ...step, take }];
  }
}
