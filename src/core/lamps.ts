// Lamps: all LEDs of the settings, by name; between the twin's wishes and the pins.
// Neighbours: `twin` brings desired properties, `report` takes reported ones, `machines` and
// `command` call in; the turn tells what a pin did with `onDriven`; `notice` keeps the books.
// Invariant: what the hub holds of a lamp is reported again until it is true; of a lamp that the
// settings no longer name, until it is gone.

import type { Effects } from "./effects.ts";
import { Level } from "./effects.ts";
import { type Acknowledgement, Hold, Lamp } from "./lamp.ts";
import { Notice } from "./notice.ts";
import type { ReportSource } from "./report.ts";
import type { LampSettings } from "./settings.ts";
import { type DesiredSink, type Properties, versionOf } from "./twin.ts";

/** The lamps of one agent. */
export class Lamps implements DesiredSink, ReportSource {
  readonly all: Lamp[] = [];
  private notices: Notice[] = [];
  /** Names no longer in the settings whose report has to go, and those in the PATCH under way. */
  private gone: string[] = [];
  private going: string[] = [];
  /** `$version` of the reported properties at the last confirmed PATCH; -1 before. */
  private reportedVersion = -1;

  constructor(
    private readonly effects: Effects,
    settings: readonly LampSettings[],
  ) {
    this.configure(settings);
  }

  /**
   * Takes new settings: lamps that keep their name keep what is desired, held and reported. True
   * when there is a lamp of a new name, which has not heard yet what is desired of it.
   */
  configure(settings: readonly LampSettings[]): boolean {
    const before = this.all.splice(0);
    const notices = this.notices;
    this.notices = [];
    settings.forEach((one, index) => {
      const at = before.findIndex((candidate) => candidate.name === one.name);
      const lamp = new Lamp(this.effects, index, one.name, one.initial);
      if (at >= 0) lamp.follow(before[at]!);
      this.all.push(lamp);
      this.notices.push(notices[at] ?? new Notice());
    });
    for (const { name } of before) if (!this.gone.includes(name)) this.gone.push(name);
    this.gone = this.gone.filter((name) => !this.has(name));
    return this.all.some(({ name }) => before.every((old) => old.name !== name));
  }

  /** Drives every lamp to what is wanted now. */
  start(): void {
    for (const lamp of this.all) lamp.drive();
  }

  onDesired(document: Properties, reported: Properties, version: number): void {
    // A document from before our last PATCH says nothing of what the hub holds now.
    const told = versionOf(reported);
    const isRecent = told < 0 || told >= this.reportedVersion;
    for (let index = 0; index < this.all.length; index++) {
      const { name } = this.all[index]!;
      const holds = isRecent && Object.hasOwn(reported, name);
      this.notices[index]!.onHeld(holds ? acknowledged(reported[name]) : "");
      this.change(index, Object.hasOwn(document, name) ? document[name] : undefined, version);
    }
    if (isRecent) this.gone = this.gone.filter((name) => Object.hasOwn(reported, name));
  }

  onDesiredPatch(patch: Properties, version: number): void {
    for (let index = 0; index < this.all.length; index++) {
      const { name } = this.all[index]!;
      if (Object.hasOwn(patch, name)) this.change(index, patch[name], version);
    }
  }

  /** An operator takes lamp `name`, or gives it back; false when there is none of that name. */
  hold(name: string, hold: Hold): boolean {
    const index = this.all.findIndex((lamp) => lamp.name === name);
    if (index < 0) return false;
    this.all[index]!.onHold(hold);
    this.notices[index]!.change();
    const words = hold === Hold.AUTO ? "given back to the twin" : `held ${on(hold === Hold.ON)}`;
    this.effects.log(Level.NOTICE, `${name} ${words} by an operator`);
    return true;
  }

  /** Pin `index` was driven; `fault` is "" or one line. */
  onDriven(index: number, lit: boolean, fault: string): void {
    const lamp = this.all[index]!;
    const before = lamp.lit;
    const faultBefore = lamp.fault;
    lamp.onDriven(lit, fault);
    if (fault !== faultBefore) {
      const text = fault === "" ? `${lamp.name}: its pin works again` : fault;
      this.effects.log(fault === "" ? Level.NOTICE : Level.ERROR, text);
    }
    if (lamp.lit !== before) {
      const why = lamp.hold === Hold.AUTO ? `desired version ${lamp.version}` : "operator";
      this.effects.log(Level.NOTICE, `${lamp.name} ${on(lamp.lit)} (${why})`);
    }
    if (fault !== faultBefore || lamp.lit !== before) this.notices[index]!.change();
  }

  takeReport(): string {
    if (this.gone.length === 0 && !this.notices.some(isDue)) return "";
    const patch: Record<string, unknown> = {};
    let some = this.gone.length > 0;
    for (const name of this.gone) patch[name] = null;
    this.going = this.gone;
    this.gone = [];
    for (let index = 0; index < this.all.length; index++) {
      const notice = this.notices[index]!;
      if (!notice.isDue) continue;
      const lamp = this.all[index]!;
      const report = lamp.report();
      if (!notice.take(acknowledged(report))) continue;
      // Null, or a merge patch would keep an `ad` from before that no longer holds.
      patch[lamp.name] = report.ad === undefined ? { ...report, ad: null } : report;
      some = true;
    }
    return some ? JSON.stringify(patch) : "";
  }

  confirmReport(version: number): void {
    if (version >= 0) this.reportedVersion = version;
    for (const notice of this.notices) notice.confirm();
  }

  retractReport(): void {
    this.gone = this.going.filter((name) => !this.has(name)).concat(this.gone);
    for (const notice of this.notices) notice.retract();
  }

  private has(name: string): boolean {
    return this.all.some((lamp) => lamp.name === name);
  }

  private change(index: number, value: unknown, version: number): void {
    const lamp = this.all[index]!;
    lamp.onDesired(value, version);
    this.notices[index]!.change();
    if (lamp.refusal !== "") this.effects.log(Level.WARNING, `desired ${lamp.refusal}`);
  }
}

/** One way to write an acknowledgement, whoever made it, so that two can be compared. */
function acknowledged(property: unknown): string {
  if (typeof property !== "object" || property === null) return "";
  const { value, ac, av, ad } = property as Partial<Acknowledgement>;
  return JSON.stringify({ value, ac, av, ad });
}

function on(lit: boolean): string {
  return lit ? "on" : "off";
}

function isDue(notice: Notice): boolean {
  return notice.isDue;
}
