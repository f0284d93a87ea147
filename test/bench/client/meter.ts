// Meter: what a publishing client took from its warm-up to its last acknowledgement.
// Neighbours: clients on Bun and Node use it; native/publisher.c does the same in C.
// Invariant: CPU is that of the whole process with all its threads (getrusage, RUSAGE_SELF).

/** What a publishing client prints when it is done. */
export interface Reading {
  readonly messages: number;
  readonly cpuUs: number;
  readonly wallUs: number;
}

/** Watches the number of acknowledgements; at the last one prints a {@link Reading} and exits. */
export class Meter {
  private start = { user: 0, system: 0 };
  private startMs = 0;
  private warmed = 0;

  constructor(
    private readonly warm: number,
    private readonly messages: number,
  ) {}

  /** `acknowledged` messages so far; called as often as the client likes. */
  onAcknowledged(acknowledged: number): void {
    if (this.warmed === 0 && acknowledged >= this.warm) {
      this.warmed = acknowledged;
      this.startMs = performance.now();
      this.start = process.cpuUsage();
    }
    if (acknowledged >= this.messages) this.finish(acknowledged);
  }

  private finish(acknowledged: number): never {
    const cpu = process.cpuUsage();
    const wallMs = performance.now() - this.startMs;
    const reading: Reading = {
      messages: acknowledged - this.warmed,
      cpuUs: cpu.user + cpu.system - this.start.user - this.start.system,
      wallUs: wallMs * 1000,
    };
    console.log(JSON.stringify(reading));
    process.exit(0);
  }
}
