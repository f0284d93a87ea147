// Model: a TPM as a table of objects: what each operation of the TPM port does to it.
// Neighbours: tests of core and the simulator; `azure/chip.ts` opens the blobs by hand.
// Invariant: as many objects and sessions as a chip has room for; what is not persistent is gone
// after a sweep or a power cut; no secret leaves it but as an HMAC.

import { createHmac } from "node:crypto";
import { TpmOperation, type TpmRequest } from "../../src/core/effects.ts";
import type { Chip } from "../azure/chip.ts";
import { sized, u16 } from "./client.ts";

const ROOM = 3;
const OWNER = 0x40000001;
const ENDORSEMENT = 0x4000000b;
const EMPTY = Buffer.alloc(0);

export const RC_ABSENT = 0x18b;
export const RC_UNSTARTED = 0x100;
export const RC_NO_OBJECTS = 0x902;
export const RC_NO_SESSIONS = 0x903;
export const RC_INTEGRITY = 0x1df;
const RC_PASSWORD = 0x9a2;

/** An object: its public area, and the secret of an HMAC key. */
interface Thing {
  readonly area: Buffer;
  readonly key: Buffer;
}

/** What the port reports. */
export interface Answer {
  readonly rc: number;
  readonly handle: number;
  readonly output: Uint8Array;
}

const refused = (rc: number): Answer => ({ rc, handle: 0, output: EMPTY });
const done = (output: Uint8Array = EMPTY, handle = 0): Answer => ({ rc: 0, handle, output });

/** Splits bytes into TPM2B, sizes included. */
function wholes(bytes: Uint8Array): Buffer[] {
  const rest = Buffer.from(bytes);
  const found: Buffer[] = [];
  for (let at = 0; at < rest.length; ) {
    const end = at + 2 + rest.readUInt16BE(at);
    found.push(rest.subarray(at, end));
    at = end;
  }
  return found;
}

export class TpmModel {
  readonly persistent = new Map<number, Thing>();
  readonly transient = new Map<number, Thing>();
  readonly sessions = new Set<number>();
  isStarted = false;
  /** The owner has a password, and whoever asks knows another one. */
  isOwnerLocked = false;
  /** Whether the last key that was given to be wrapped was hidden on the bus. */
  isCovered = false;
  private wrapped: Thing[] = [];
  private credential: readonly Buffer[] = [];
  private made = 0;

  constructor(private readonly chip: Chip) {}

  /** Sessions and transient objects are gone. */
  sweep(): void {
    this.transient.clear();
    this.sessions.clear();
  }

  /** Power is cut and comes back. */
  restart(): void {
    this.sweep();
    this.wrapped = [];
    this.isStarted = false;
  }

  /** How many handles somebody has left behind. */
  get leftovers(): number {
    return this.transient.size + this.sessions.size;
  }

  perform({ operation, a, b, c, input }: TpmRequest): Answer {
    if (operation === TpmOperation.STARTUP) {
      const rc = this.isStarted ? RC_UNSTARTED : 0;
      this.isStarted = true;
      return refused(rc);
    }
    if (!this.isStarted) return refused(RC_UNSTARTED);
    switch (operation) {
      case TpmOperation.READ_PUBLIC:
        return this.readPublic(a);
      case TpmOperation.CREATE_PRIMARY:
        return this.createPrimary(a);
      case TpmOperation.EVICT:
        return this.evict(a, b);
      case TpmOperation.FLUSH:
        this.transient.delete(a);
        this.sessions.delete(a);
        return done();
      case TpmOperation.START_POLICY:
        return this.session(0x03000000);
      case TpmOperation.START_HMAC:
        return this.session(0x02000000);
      case TpmOperation.POLICY_SECRET:
        if (a === OWNER && this.isOwnerLocked) return refused(RC_PASSWORD);
        return this.sessions.has(b) ? done() : refused(0x910);
      case TpmOperation.ACTIVATE:
        this.credential = wholes(input);
        return this.sessions.has(c) ? done(sized(Buffer.alloc(16, 7))) : refused(0x910);
      case TpmOperation.IMPORT:
        return this.importKey(input);
      case TpmOperation.CREATE:
        return this.create(b, input);
      case TpmOperation.LOAD:
        return this.load(input);
      case TpmOperation.HMAC:
        return this.hmac(a, input);
      default:
        throw new Error(`the model has no ${TpmOperation[operation]}`);
    }
  }

  private find(handle: number): Thing | undefined {
    return this.persistent.get(handle) ?? this.transient.get(handle);
  }

  private readPublic(handle: number): Answer {
    const thing = this.find(handle);
    return thing === undefined ? refused(RC_ABSENT) : done(thing.area);
  }

  private createPrimary(hierarchy: number): Answer {
    const { endorsementKey, storageRootKey } = this.chip;
    const key = hierarchy === ENDORSEMENT ? endorsementKey : storageRootKey;
    return this.keep({ area: Buffer.from(key, "base64"), key: EMPTY });
  }

  private evict(object: number, handle: number): Answer {
    const thing = this.find(object);
    if (thing === undefined) return refused(0x28b);
    if (this.isOwnerLocked) return refused(RC_PASSWORD);
    if (object === handle) this.persistent.delete(handle);
    else if (this.persistent.has(handle)) return refused(0x14c);
    else this.persistent.set(handle, thing);
    return done();
  }

  private session(range: number): Answer {
    if (this.sessions.size >= ROOM) return refused(RC_NO_SESSIONS);
    const handle = range + this.made++;
    this.sessions.add(handle);
    return done(EMPTY, handle);
  }

  /** The whole blob again, for the chip to open. */
  private importKey(input: Uint8Array): Answer {
    const [, area, duplicate, seed] = wholes(input);
    const parts = [...this.credential, duplicate!, seed!, area!, u16(0)];
    try {
      const { key } = this.chip.open(Buffer.concat(parts).toString("base64"));
      this.wrapped.push({ area: area!, key });
      return done(sized(u16(this.wrapped.length - 1)));
    } catch {
      return refused(RC_INTEGRITY);
    }
  }

  /** An object of this template with the value that was given, behind a session or in clear. */
  private create(session: number, input: Uint8Array): Answer {
    if (session !== 0 && !this.sessions.has(session)) return refused(0x910);
    const [sensitive, area] = wholes(input);
    const [, value] = wholes(sensitive!.subarray(2));
    this.isCovered = session !== 0;
    this.wrapped.push({ area: area!, key: value!.subarray(2) });
    return done(Buffer.concat([sized(u16(this.wrapped.length - 1)), area!]));
  }

  private load(input: Uint8Array): Answer {
    const thing = this.wrapped[Buffer.from(input).readUInt16BE(2)];
    return thing === undefined ? refused(RC_INTEGRITY) : this.keep(thing);
  }

  private keep(thing: Thing): Answer {
    if (this.transient.size >= ROOM) return refused(RC_NO_OBJECTS);
    const handle = 0x80000000 + this.made++;
    this.transient.set(handle, thing);
    return done(thing.area, handle);
  }

  private hmac(handle: number, input: Uint8Array): Answer {
    const thing = this.find(handle);
    if (thing === undefined) return refused(RC_ABSENT);
    return done(sized(createHmac("sha256", thing.key).update(input.subarray(2)).digest()));
  }
}
