// Lamp: one LED: what is desired of it, who holds it, what its pin last did.
// Neighbours: `lamps` owns one for each [led.NAME]; the pins port drives what it asks for.
// Invariant: `lit` is what the pin last took; `report()` tells the twin the truth about the lamp
// in the form that IoT Plug and Play asks of writable properties (value, ac, av, ad).

import { unreachable } from "../kit/assert.ts";
import type { Effects } from "./effects.ts";

/** Who decides about the lamp. */
export enum Hold {
  /** The twin, or the initial state where it says nothing. */
  AUTO,
  ON,
  OFF,
}

/** Acknowledgement codes of IoT Plug and Play (docs: concepts-convention, writable properties). */
const AC_DONE = 200;
const AC_HELD = 202;
const AC_INITIAL = 203;
const AC_REFUSED = 400;
const AC_FAILED = 500;

/** A writable property's acknowledgement. */
export interface Acknowledgement {
  readonly value: boolean;
  readonly ac: number;
  readonly av: number;
  readonly ad?: string;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  switch (typeof value) {
    case "string":
      return "a string";
    case "number":
      return "a number";
    default:
      return "an object";
  }
}

/** One lamp. */
export class Lamp {
  hold = Hold.AUTO;
  /** What the twin wants; undefined when it says nothing usable. */
  desired: boolean | undefined = undefined;
  /** Version of the desired properties that last spoke of this lamp; 0: none has. */
  version = 0;
  /** The state the pin last took. */
  lit: boolean;
  /** What is wrong with the pin; "" when nothing is. */
  fault = "";
  /** Why the last desired value was refused; "" when it was not. */
  refusal = "";

  constructor(
    private readonly effects: Effects,
    private readonly index: number,
    readonly name: string,
    public initial: boolean,
  ) {
    this.lit = initial;
  }

  /** Takes over from the lamp of the same name before new settings. */
  follow(old: Lamp): void {
    this.hold = old.hold;
    this.desired = old.desired;
    this.version = old.version;
    this.refusal = old.refusal;
    this.lit = old.lit;
    this.fault = old.fault;
  }

  /** Puts the pin into the state that is wanted now; also at start, when nothing is known. */
  drive(): void {
    this.effects.drive(this.index, this.wanted);
  }

  /** The twin wants `value`; null or undefined: the twin has no wish (any more). */
  onDesired(value: unknown, version: number): void {
    this.version = version;
    this.refusal = "";
    if (value === null || value === undefined) this.desired = undefined;
    else if (typeof value === "boolean") this.desired = value;
    else this.refusal = `${this.name} takes true or false, not ${kindOf(value)}`;
    if (this.refusal === "") this.drive();
  }

  /** An operator takes the lamp, or gives it back to the twin. */
  onHold(hold: Hold): void {
    this.hold = hold;
    this.drive();
  }

  /** The pin was driven: `fault` is "" or says why it could not be. */
  onDriven(on: boolean, fault: string): void {
    this.fault = fault;
    if (fault === "") this.lit = on;
  }

  /** What the lamp should show now. */
  get wanted(): boolean {
    switch (this.hold) {
      case Hold.ON:
        return true;
      case Hold.OFF:
        return false;
      case Hold.AUTO:
        return this.desired ?? this.initial;
      default:
        return unreachable(this.hold);
    }
  }

  /** The reported property. */
  report(): Acknowledgement {
    const common = { value: this.lit, av: this.version };
    if (this.refusal !== "") return { ...common, ac: AC_REFUSED, ad: this.refusal };
    if (this.fault !== "") return { ...common, ac: AC_FAILED, ad: this.fault };
    if (this.hold !== Hold.AUTO) {
      return { ...common, ac: AC_HELD, ad: "held by the operator on site" };
    }
    if (this.desired === undefined) {
      return { ...common, ac: AC_INITIAL, ad: "no value desired: initial state" };
    }
    return { ...common, ac: AC_DONE };
  }
}
