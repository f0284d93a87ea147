// Procedure: what several commands to the TPM do together, step by step.
// Neighbours: `vault` runs one at a time and cleans up after it; `provision` and `agent` ask for
// them; `codec/request` makes the single operations.
// Invariant: a procedure can start again from its first step at any time; what it leaves behind
// when cut off anywhere is a TPM with a working identity, the old one or the new one.

import type { Blob } from "../codec/blob.ts";
import { Outcome } from "../codec/outcome.ts";
import { Algorithm, parsePublic } from "../codec/public.ts";
import {
  activate,
  createPrimary,
  ENDORSEMENT,
  ENDORSEMENT_HANDLE,
  evict,
  flush,
  hmac,
  IDENTITY_HANDLE,
  importKey,
  load,
  NO_SESSION,
  OWNER,
  persist,
  policySecret,
  readPublic,
  SPARE_HANDLE,
  STORAGE_HANDLE,
  startHmac,
  startPolicy,
  type TpmRequest,
} from "../codec/request.ts";
import { ENDORSEMENT_TEMPLATE, STORAGE_TEMPLATE } from "../codec/template.ts";

/** One command and what its answer means. */
export interface Step {
  readonly what: string;
  readonly ask: () => TpmRequest;
  /** Takes the answer; steps returned come next; a text is a problem that ends the procedure. */
  readonly take?: (handle: number, output: Uint8Array) => readonly Step[] | string | undefined;
  /** Instead of a problem when there is nothing at the handle. */
  readonly absent?: () => readonly Step[];
}

/** A list of steps with its results. */
export abstract class Procedure {
  private steps: Step[] = [];
  /** Transient handle that outlives the procedure; 0: none does. */
  kept = 0;

  /** What it is for, in words that follow "the TPM could not". */
  abstract readonly what: string;
  /** False when it works on an earlier one's transient object: gone when the TPM was restarted. */
  readonly canRestart: boolean = true;
  protected abstract plan(): readonly Step[];

  /** From the first step on, whatever was done before. */
  restart(): void {
    this.kept = 0;
    this.steps = [...this.plan()];
  }

  /** The next command; undefined when all is done. */
  next(): TpmRequest | undefined {
    return this.steps[0]?.ask();
  }

  /** Takes the answer to {@link next}; "" or one line that ends the procedure. */
  onAnswer(outcome: Outcome, text: string, handle: number, output: Uint8Array): string {
    const step = this.steps.shift()!;
    if (outcome === Outcome.ABSENT && step.absent !== undefined) {
      this.steps.unshift(...step.absent());
      return "";
    }
    if (outcome !== Outcome.DONE) return `${this.what}: ${step.what}: ${text}`;
    const more = step.take?.(handle, output);
    if (typeof more === "string") return `${this.what}: ${step.what}: ${more}`;
    if (more !== undefined) this.steps.unshift(...more);
    return "";
  }
}

const nothing = (): readonly Step[] => [];

/** Finds the endorsement and storage root keys, or makes them; the owner password is right. */
export class Identify extends Procedure {
  readonly what: string = "read its keys";
  endorsementKey: Uint8Array = new Uint8Array(0);
  storageKey: Uint8Array = new Uint8Array(0);
  /** Keys made just now, in words; "" for none. */
  made = "";

  protected plan(): readonly Step[] {
    this.made = "";
    const storage = this.storageStep();
    // A key that was made has been kept with the owner password. A wrong one would else be found
    // once DPS has given the hub another key, which could not be kept then.
    const take: Step["take"] = (handle, output) =>
      storage.take?.(handle, output) ??
      (this.made === "" ? proven(OWNER, "owner", nothing) : undefined);
    return [
      this.keyAt(ENDORSEMENT_HANDLE, ENDORSEMENT, ENDORSEMENT_TEMPLATE, "endorsement key"),
      { ...storage, take },
    ];
  }

  protected storageStep(): Step {
    return this.keyAt(STORAGE_HANDLE, OWNER, STORAGE_TEMPLATE, "storage root key");
  }

  private keyAt(handle: number, hierarchy: number, template: Uint8Array, name: string): Step {
    return {
      what: `read the ${name}`,
      ask: () => readPublic(handle),
      take: (_handle, output) => this.found(handle, publicIn(output)),
      absent: () => {
        let transient = 0;
        this.made = this.made === "" ? name : `${this.made} and ${name}`;
        const take = (made: number, output: Uint8Array): string | undefined => {
          transient = made;
          return this.found(handle, publicIn(output));
        };
        return [
          { what: `make the ${name}`, ask: () => createPrimary(hierarchy, template), take },
          { what: `keep the ${name}`, ask: () => persist(transient, handle) },
          { what: "free its copy", ask: () => flush(transient) },
        ];
      },
    };
  }

  private found(handle: number, key: Uint8Array): string | undefined {
    const area = parsePublic(key);
    if (typeof area === "string") return area;
    if (area.type !== Algorithm.RSA || area.keyBits !== 2048)
      return "it is no RSA key of 2048 bits";
    if (handle === STORAGE_HANDLE) this.storageKey = key;
    else this.endorsementKey = key;
    return undefined;
  }
}

/** `steps` within a policy session to which the password of a hierarchy has been proved. */
function proven(
  hierarchy: number,
  name: string,
  steps: (policy: () => number) => readonly Step[],
): readonly Step[] {
  let policy = 0;
  const take = (handle: number): undefined => {
    policy = handle;
  };
  return [
    { what: "start a policy session", ask: () => startPolicy(), take },
    { what: `prove the ${name} password`, ask: () => policySecret(hierarchy, policy) },
    ...steps(() => policy),
    { what: "end the policy session", ask: () => flush(policy) },
  ];
}

/** The TPM2B_PUBLIC that an output begins with, a copy. */
export function publicIn(output: Uint8Array): Uint8Array {
  if (output.length < 2) return new Uint8Array(0);
  return output.slice(0, 2 + ((output[0]! << 8) | output[1]!));
}

/** Opens a blob of DPS: the key in it becomes a transient object, which is kept open. */
export class Activate extends Procedure {
  readonly what = "activate the key from DPS";

  /** @param isHidden keep the inner key from whoever listens on the TPM's bus */
  constructor(
    private readonly blob: Blob,
    private readonly isHidden: boolean,
  ) {
    super();
  }

  protected plan(): readonly Step[] {
    let session = NO_SESSION;
    let inner: Uint8Array = new Uint8Array(0);
    let wrapped: Uint8Array = new Uint8Array(0);
    const { blob } = this;
    const opening = (policy: () => number): readonly Step[] => [
      {
        what: "open the credential",
        ask: () => activate(STORAGE_HANDLE, ENDORSEMENT_HANDLE, policy(), blob, session),
        take: (_handle, output) => {
          inner = output.slice();
          return undefined;
        },
      },
    ];
    const steps: Step[] = [
      ...proven(ENDORSEMENT, "endorsement", opening),
      {
        what: "import the key",
        ask: () => importKey(STORAGE_HANDLE, inner, blob, session),
        take: (_handle, output) => {
          inner.fill(0);
          wrapped = output.slice();
          return undefined;
        },
      },
      {
        what: "load the key",
        ask: () => load(STORAGE_HANDLE, wrapped, blob.publicArea),
        take: (handle) => {
          this.kept = handle;
          return undefined;
        },
      },
    ];
    const hidden: Step = {
      what: "start a session that hides what is sent",
      ask: () => startHmac(STORAGE_HANDLE),
      take: (handle) => {
        session = handle;
        return undefined;
      },
    };
    return this.isHidden ? [hidden, ...steps] : steps;
  }
}

/** Signs with a transient key that an earlier procedure left; the key is gone afterwards. */
export class Sign extends Procedure {
  readonly what: string = "sign";
  override readonly canRestart: boolean = false;
  /** HMAC-SHA256, 32 bytes, when done. */
  signature: Uint8Array = new Uint8Array(0);

  constructor(
    protected handle: number,
    private readonly data: Uint8Array,
  ) {
    super();
  }

  protected plan(): readonly Step[] {
    return [this.mac()];
  }

  protected mac(): Step {
    const take = (_handle: number, output: Uint8Array): string | undefined => {
      if (output.length !== 34) return `a signature of ${output.length - 2} bytes; allowed: 32`;
      this.signature = output.slice(2);
      return undefined;
    };
    return { what: "HMAC", ask: () => hmac(this.handle, this.data), take };
  }
}

/** Signs with the device key, wherever of its two places it is; a spare is the newer one. */
export class SignAsDevice extends Sign {
  override readonly canRestart = true;
  /** True when there is no device key in this TPM. */
  isAbsent = false;

  /** @param known where the device key was found before; 0 when nobody has looked yet */
  constructor(
    private readonly known: number,
    data: Uint8Array,
  ) {
    super(known, data);
  }

  /** Where the key is, when done. */
  get place(): number {
    return this.handle;
  }

  protected override plan(): readonly Step[] {
    this.handle = this.known;
    this.isAbsent = false;
    if (this.known !== 0) return [{ ...this.mac(), absent: () => this.search() }];
    return this.search();
  }

  private search(): readonly Step[] {
    const last = this.lookAt(IDENTITY_HANDLE, () => {
      this.isAbsent = true;
      return nothing();
    });
    return [this.lookAt(SPARE_HANDLE, () => [last])];
  }

  private lookAt(handle: number, absent: () => readonly Step[]): Step {
    const take = (): readonly Step[] => {
      this.handle = handle;
      return [this.mac()];
    };
    return { what: "look for the device key", ask: () => readPublic(handle), take, absent };
  }
}

/** First half of the swap: the new device key goes to the spare place; the old one still is. */
export class KeepSpare extends Procedure {
  readonly what = "keep the new device key";
  override readonly canRestart = false;

  constructor(private readonly transient: number) {
    super();
  }

  protected plan(): readonly Step[] {
    this.kept = this.transient;
    return [
      { what: "clear the spare place", ask: () => evict(SPARE_HANDLE), absent: nothing },
      { what: "fill the spare place", ask: () => persist(this.transient, SPARE_HANDLE) },
    ];
  }
}

/** Second half: the new key takes the identity's place, then the spare place is cleared. */
export class KeepIdentity extends Procedure {
  readonly what = "put the new device key in its place";
  override readonly canRestart = false;

  constructor(private readonly transient: number) {
    super();
  }

  protected plan(): readonly Step[] {
    return [
      { what: "remove the old device key", ask: () => evict(IDENTITY_HANDLE), absent: nothing },
      { what: "keep the new one", ask: () => persist(this.transient, IDENTITY_HANDLE) },
      { what: "clear the spare place", ask: () => evict(SPARE_HANDLE), absent: nothing },
    ];
  }
}
