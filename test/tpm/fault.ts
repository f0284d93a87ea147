// Fault: a chip between the TPM port and a real one that answers, cuts or keeps still at will.
// Neighbours: tests of the TPM port, with a chip to swtpm behind it.
// Invariant: what no rule touches goes through unchanged; every command is on record.

import type { Chip, ChipEvents } from "../../src/core/effects.ts";

/** What becomes of a command instead of going to the TPM; "forward" sends it. */
export type Fate =
  | { readonly answer: Uint8Array }
  | { readonly close: string }
  | "silence"
  | "forward";

/** Decides by the command's code and how many commands came before. */
export type Rule = (code: number, index: number) => Fate;

/** A response without parameters. */
export function refusal(rc: number): Uint8Array {
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x8001);
  view.setUint32(2, 10);
  view.setUint32(6, rc);
  return bytes;
}

export class FaultChip implements Chip {
  /** Command codes in the order of sending, and all bytes of both directions. */
  readonly codes: number[] = [];
  readonly commands: Uint8Array[] = [];
  readonly responses: Uint8Array[] = [];
  rule: Rule = () => "forward";
  /** Hears of a response of the TPM before the port does. */
  onResponse: () => void = () => {};
  opened = 0;
  private inner: Chip | null = null;
  private life = 0;

  constructor(
    private readonly events: ChipEvents,
    private readonly makeInner: (events: ChipEvents) => Chip,
  ) {}

  get isManaged(): boolean {
    return this.inner?.isManaged ?? false;
  }

  open(): void {
    this.opened += 1;
    this.life += 1;
    this.inner ??= this.makeInner({
      onChipOpened: () => this.events.onChipOpened(),
      onChipAnswer: (response) => {
        this.responses.push(response.slice());
        this.onResponse();
        this.events.onChipAnswer(response);
      },
      onChipClosed: (detail) => this.events.onChipClosed(detail),
    });
    this.inner.open();
  }

  send(command: Uint8Array): void {
    const code = new DataView(command.buffer, command.byteOffset).getUint32(6);
    const fate = this.rule(code, this.codes.length);
    this.codes.push(code);
    this.commands.push(command.slice());
    if (fate === "forward") return this.inner!.send(command);
    if (fate === "silence") return;
    const { life } = this;
    queueMicrotask(() => {
      if (life !== this.life) return;
      if ("answer" in fate) return this.events.onChipAnswer(fate.answer);
      this.inner!.abandon();
      this.events.onChipClosed(fate.close);
    });
  }

  abandon(): void {
    this.life += 1;
    this.inner?.abandon();
  }
}
