// Inquiry: asks a TPM who it is, one command after the other.
// Neighbours: `main` carries the commands to the TPM port and the answers back; `tpminfo` says
// what was found.
// Invariant: nothing is changed unless keys are to be created; every transient object made here
// is flushed, also after a refusal or when cancelled.

import {
  ENDORSEMENT_AUTH_SET,
  FIXED_PROPERTIES,
  HandleRange,
  OWNER_AUTH_SET,
  Property,
  parseHandles,
  parseProperties,
  VARIABLE_PROPERTIES,
} from "../codec/capability.ts";
import { Cursor, isSame } from "../codec/cursor.ts";
import { Outcome, outcomeOf, outcomeText, RC_INITIALIZE } from "../codec/outcome.ts";
import { isLike, PUBLIC_BYTES_MAX, parsePublic } from "../codec/public.ts";
import * as request from "../codec/request.ts";
import {
  ENDORSEMENT_TEMPLATE,
  ENDORSEMENT_TEMPLATE_EMPTY,
  STORAGE_TEMPLATE,
} from "../codec/template.ts";
import type { TpmRequest } from "./effects.ts";

/** How a key was come by. */
export enum KeyState {
  /** It is not known: there is none, and what it would be cannot be found out. */
  UNKNOWN,
  /** It is at its handle. */
  PERSISTENT,
  /** There is none; this is the one that the first registration will make. */
  COMPUTED,
  /** There was none; it was made just now and is at its handle. */
  CREATED,
}

/** What an endorsement key was made from. */
export enum Origin {
  /** Not found out; the reason stands beside it. */
  UNKNOWN,
  /** Template L-1 of the TCG, `unique` of 256 zero bytes. */
  TCG,
  /** The same with an empty `unique`, as Microsoft's C and Node.js clients ask for. */
  EMPTY,
  OTHER,
}

/** A key of the TPM. */
export interface KeyFinding {
  readonly state: KeyState;
  /** TPM2B_PUBLIC; empty when UNKNOWN. */
  readonly publicArea: Uint8Array;
  /** Why it is UNKNOWN, one line; else "". */
  readonly reason: string;
}

/** What was found out. */
export interface Findings {
  readonly properties: ReadonlyMap<number, number>;
  /** Persistent handles in use, as the TPM lists them. */
  readonly handles: readonly number[];
  readonly endorsement: KeyFinding;
  readonly storage: KeyFinding;
  readonly origin: Origin;
  /** Why `origin` is UNKNOWN although there is a key; else "". */
  readonly originReason: string;
}

/** A command, or the end of everything that nobody flushed. */
export type Ask = TpmRequest | "sweep";

interface Step {
  /** What it is for, in words that follow "could not". */
  readonly what: string;
  readonly ask: Ask;
  /** Takes the answer; steps returned come next, a text is a problem that ends the inquiry. */
  take(handle: number, output: Uint8Array): readonly Step[] | string;
  /** Takes a refusal that need not end the inquiry; the text is the reason. */
  refused?(reason: string): readonly Step[];
  /** Also counts as success. */
  readonly rcAllowed?: number;
}

/** A key that is looked for: where it belongs and how it is made. */
interface Wanted {
  readonly name: string;
  readonly handle: number;
  readonly hierarchy: number;
  readonly template: Uint8Array;
  /** Its hierarchy in words, and the bit that tells of its password. */
  readonly owner: string;
  readonly passwordSet: number;
}

const ENDORSEMENT_KEY: Wanted = {
  name: "endorsement key",
  handle: request.ENDORSEMENT_HANDLE,
  hierarchy: request.ENDORSEMENT,
  template: ENDORSEMENT_TEMPLATE,
  owner: "endorsement",
  passwordSet: ENDORSEMENT_AUTH_SET,
};
const STORAGE_KEY: Wanted = {
  name: "storage root key",
  handle: request.STORAGE_HANDLE,
  hierarchy: request.OWNER,
  template: STORAGE_TEMPLATE,
  owner: "owner",
  passwordSet: OWNER_AUTH_SET,
};

/** No persistent handle. */
const NOWHERE = 0;
const NOTHING = new Uint8Array(0);
const UNREAD: KeyFinding = { state: KeyState.UNKNOWN, publicArea: NOTHING, reason: "not read" };
const none = (): readonly Step[] => [];
/** Frees what a process that was cut off has left in a TPM that nobody sweeps. */
const SWEEP: Step = { what: "free what others left", ask: "sweep", take: none };

/** What to do about an outcome, behind its text; "" where the text says it. */
const ADVICE: Readonly<Partial<Record<Outcome, string>>> = {
  [Outcome.FAILED]: "; only a restart of the gateway ends that, or a new TPM",
  [Outcome.LOCKED]: "; wait for its recovery time, then try again",
  [Outcome.UNSTARTED]: "; it must be started by the firmware or the kernel",
  [Outcome.BUSY]: "; try again later",
  [Outcome.SLOW]: "; try again later",
};

/** One inquiry at one TPM. */
export class Inquiry {
  /** One line that says why it ended early; "" when it did not. */
  problem = "";
  private steps: Step[];
  private held = 0;
  private hasSwept = false;
  private isCancelled = false;
  private readonly properties = new Map<number, number>();
  private handles: readonly number[] = [];
  private endorsement = UNREAD;
  private storage = UNREAD;
  private origin = Origin.UNKNOWN;
  private originReason = "";

  /**
   * @param isRaw nobody else starts this TPM or frees what was left in it
   * @param isCreating makes keys that are absent, and keeps them
   */
  constructor(
    isRaw: boolean,
    private readonly isCreating: boolean,
  ) {
    const start: Step = {
      what: "start it",
      ask: request.startup(),
      take: none,
      rcAllowed: RC_INITIALIZE,
    };
    const list = [this.list(FIXED_PROPERTIES), this.list(VARIABLE_PROPERTIES), this.listHandles()];
    this.steps = isRaw ? [start, ...list] : list;
  }

  get findings(): Findings {
    const { properties, handles, endorsement, storage, origin, originReason } = this;
    return { properties, handles, endorsement, storage, origin, originReason };
  }

  /** The next command; undefined at the end. */
  next(): Ask | undefined {
    return this.steps[0]?.ask;
  }

  /** Takes the answer to what {@link next} gave. */
  onAnswer(rc: number, handle: number, output: Uint8Array): void {
    const step = this.steps.shift()!;
    if (isFlush(step.ask)) this.held = 0;
    const outcome = rc === step.rcAllowed ? Outcome.DONE : outcomeOf(rc);
    if (outcome === Outcome.FULL && !this.hasSwept) {
      this.hasSwept = true;
      this.steps.unshift(SWEEP, step);
    } else if (outcome === Outcome.DONE) {
      const more = step.take(handle, output);
      if (typeof more === "string") this.end(`could not ${step.what}: ${more}`);
      else this.steps.unshift(...more);
    } else if (isOpinion(outcome) && step.refused !== undefined) {
      this.steps.unshift(...step.refused(outcomeText(rc)));
    } else {
      if (outcome === Outcome.LOST) this.held = 0;
      this.end(`could not ${step.what}: ${outcomeText(rc)}${ADVICE[outcome] ?? ""}`);
    }
    if (this.isCancelled) this.end("interrupted");
  }

  /** There is no connection to the TPM. The detail is one line. */
  onClosed(detail: string): void {
    this.problem = detail;
    this.steps = [];
  }

  /** Ends after the command that is under way, and frees what it has made. */
  cancel(): void {
    this.isCancelled = true;
  }

  private end(problem: string): void {
    if (this.problem === "") this.problem = problem;
    this.steps = this.held === 0 ? [] : [this.flushed("object")];
  }

  private list(first: number): Step {
    return {
      what: "read its properties",
      ask: request.readProperties(first),
      take: (_handle, output) => {
        const properties = parseProperties(output);
        if (properties === undefined) return "not a list of properties";
        for (const [property, value] of properties) this.properties.set(property, value);
        return [];
      },
    };
  }

  private listHandles(): Step {
    return {
      what: "list its persistent handles",
      ask: request.readHandles(HandleRange.PERSISTENT),
      take: (_handle, output) => {
        const handles = parseHandles(output);
        if (handles === undefined) return "not a list of handles";
        this.handles = handles;
        return this.lookForKeys();
      },
    };
  }

  private lookForKeys(): readonly Step[] {
    const missing = [ENDORSEMENT_KEY, STORAGE_KEY].find(({ handle }) => this.isFree(handle));
    if (this.isCreating && missing !== undefined && this.hasPassword(OWNER_AUTH_SET)) {
      const place = `no ${missing.name} at ${hex(missing.handle)}`;
      this.end(`${place}, and to keep one takes the owner password, which is not known here`);
      return [];
    }
    return [
      ...this.look(ENDORSEMENT_KEY, (finding) => {
        this.endorsement = finding;
        return this.lookForOrigin(finding);
      }),
      ...this.look(STORAGE_KEY, (finding) => {
        this.storage = finding;
        return [];
      }),
    ];
  }

  /** Reads a key, or finds out what it would be, or makes it. */
  private look(wanted: Wanted, found: (finding: KeyFinding) => readonly Step[]): readonly Step[] {
    const { name, handle, hierarchy, template, owner } = wanted;
    if (!this.isFree(handle)) {
      const take: Step["take"] = (_handle, output) => {
        const publicArea = new Cursor(output).whole(1, PUBLIC_BYTES_MAX).slice();
        if (publicArea.length === 0) return "not a public area";
        return found({ state: KeyState.PERSISTENT, publicArea, reason: "" });
      };
      return [{ what: `read the ${name}`, ask: request.readPublic(handle), take }];
    }
    const unknown = (reason: string): readonly Step[] =>
      found({ state: KeyState.UNKNOWN, publicArea: NOTHING, reason });
    if (this.hasPassword(wanted.passwordSet)) return unknown(`the ${owner} password is set`);
    const state = this.isCreating ? KeyState.CREATED : KeyState.COMPUTED;
    const take = (publicArea: Uint8Array) => found({ state, publicArea, reason: "" });
    const keptAt = this.isCreating ? handle : NOWHERE;
    return [this.made(name, hierarchy, template, unknown, take, keptAt)];
  }

  /** Which template made the key at the handle: the one that makes the same key again. */
  private lookForOrigin({ state, publicArea }: KeyFinding): readonly Step[] {
    if (state === KeyState.UNKNOWN) return [];
    this.origin = Origin.TCG;
    if (state !== KeyState.PERSISTENT) return [];
    const area = parsePublic(publicArea);
    const template = parsePublic(ENDORSEMENT_TEMPLATE);
    this.origin = Origin.OTHER;
    if (typeof area === "string" || typeof template === "string") return [];
    if (!isLike(area, template)) return [];
    const unknown = (reason: string): readonly Step[] => {
      this.origin = Origin.UNKNOWN;
      this.originReason = reason;
      return [];
    };
    if (this.hasPassword(ENDORSEMENT_AUTH_SET)) return unknown("the endorsement password is set");
    const tried = (bytes: Uint8Array, origin: Origin, otherwise: () => readonly Step[]): Step =>
      this.made("endorsement key again", request.ENDORSEMENT, bytes, unknown, (made) => {
        if (!isSame(made, publicArea)) return otherwise();
        this.origin = origin;
        return [];
      });
    const empty = () => [tried(ENDORSEMENT_TEMPLATE_EMPTY, Origin.EMPTY, none)];
    return [tried(ENDORSEMENT_TEMPLATE, Origin.TCG, empty)];
  }

  /** Makes a transient key, keeps it where that is asked for, and flushes it before all else. */
  private made(
    name: string,
    hierarchy: number,
    template: Uint8Array,
    refused: (reason: string) => readonly Step[],
    take: (publicArea: Uint8Array) => readonly Step[],
    keptAt = NOWHERE,
  ): Step {
    return {
      what: `make the ${name}`,
      ask: request.createPrimary(hierarchy, template),
      take: (handle, output) => {
        this.held = handle;
        const kept = keptAt === NOWHERE ? [] : [this.kept(name, keptAt)];
        return [...kept, this.flushed(name), ...take(output.slice())];
      },
      refused,
    };
  }

  private kept(name: string, handle: number): Step {
    const ask = request.persist(this.held, handle);
    const take = () => {
      this.handles = [...this.handles, handle].sort((one, other) => one - other);
      return [];
    };
    return { what: `keep the ${name}`, ask, take };
  }

  private flushed(name: string): Step {
    return { what: `free the ${name}`, ask: request.flush(this.held), take: none };
  }

  private isFree(handle: number): boolean {
    return !this.handles.includes(handle);
  }

  private hasPassword(bit: number): boolean {
    return ((this.properties.get(Property.PERMANENT) ?? 0) & bit) !== 0;
  }
}

function isFlush(ask: Ask): boolean {
  return ask !== "sweep" && ask.operation === request.TpmOperation.FLUSH;
}

/** True for a refusal of one command that says nothing against the next. */
function isOpinion(outcome: Outcome): boolean {
  return outcome === Outcome.REFUSED || outcome === Outcome.PASSWORD;
}

function hex(handle: number): string {
  return `0x${handle.toString(16).padStart(8, "0")}`;
}
