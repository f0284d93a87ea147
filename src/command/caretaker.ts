// Caretaker: what keeps a gateway going, put together: calendar, watchdogs, metrics, hook.
// Neighbours: the turn asks for all of it through `Upkeep`; `run` opens and closes it; the ports do
// the work.
// Invariant: nothing that is missing here ends the agent: it is one line in the log, told once.

import type { MetricsSettings, WatchdogSettings } from "../core/care.ts";
import {
  type Calendar,
  type Exposure,
  Level,
  type Log,
  type Upkeep,
  type UpkeepEvents,
} from "../core/effects.ts";
import { assert } from "../kit/assert.ts";
import { machineId } from "../port/entropy.ts";
import { Hook } from "../port/hook.ts";
import { MetricsFile, MetricsServer } from "../port/metrics.ts";
import { DeviceWatchdog, Libc, NotifySocket } from "../port/watchdog.ts";

const REBOOT = "/sbin/reboot";

/** The world around the keeper's machines. */
export class Caretaker implements Upkeep {
  readonly machine = machineId();
  /** That of the settings in force; null while no schedule is enabled. */
  calendar: Calendar | null = null;
  private readonly manager = new NotifySocket(process.env, process.pid, () => new Libc());
  private readonly program: Hook;
  private watchdog: DeviceWatchdog | null = null;
  private file: MetricsFile | null = null;
  private server: MetricsServer | null = null;
  private readonly exposures: Exposure[] = [];
  /** What was last wrong, by who said so. */
  private readonly problems = new Map<string, string>();

  /** @param forget drops what earlier connections have left */
  constructor(
    private readonly events: UpkeepEvents,
    private readonly log: Log,
    private readonly forget: () => void,
  ) {
    this.program = new Hook((line) => log.write(Level.INFO, `hook: ${line}`));
  }

  /** Metrics go to whom the settings name. */
  open({ file, port }: MetricsSettings): void {
    if (file !== "") {
      this.file = new MetricsFile(file, (problem) => this.tell("metrics", problem));
      this.exposures.push(this.file);
    }
    if (port !== 0) {
      this.server = new MetricsServer();
      this.tell("server", this.server.open(port));
      this.exposures.push(this.server);
    }
  }

  /** Watchdogs wait from now on; ms that the least patient gives, 0: there is none. */
  watch(watchdog: WatchdogSettings): number {
    const deviceMs = watchdog.device === "" ? 0 : this.openDevice(watchdog) * 1000;
    const times = [this.manager.watchdogMs, deviceMs].filter((timeMs) => timeMs > 0);
    return times.length === 0 ? 0 : Math.min(...times);
  }

  nextS(wallS: number): number {
    assert(this.calendar !== null, "a schedule that is enabled has a calendar");
    return this.calendar.nextS(wallS);
  }

  feed(isAlive: boolean): void {
    this.tell("manager", this.manager.tell("WATCHDOG=1"));
    if (isAlive && this.watchdog !== null) this.tell("watchdog", this.watchdog.feed());
  }

  refresh(): void {
    // Addresses need no forgetting: Bun keeps them for 30 s, and this comes after 5 minutes.
    this.forget();
  }

  hook(words: readonly string[]): void {
    this.program.start(words, (detail) => this.events.onClimbed(detail));
  }

  reboot(): void {
    this.program.start([REBOOT], (detail) => {
      // Init now ends this process in its turn.
      if (detail !== "") this.events.onClimbed(detail);
    });
  }

  expose(text: string): void {
    for (const exposure of this.exposures) exposure.expose(text);
  }

  /** The agent serves. */
  onReady(): void {
    this.tell("manager", this.manager.tell("READY=1"));
  }

  /** The agent is about to end of its own will. */
  onStopping(): void {
    this.tell("manager", this.manager.tell("STOPPING=1"));
  }

  /** The process ends of its own will: nobody waits for signs of life any more. */
  close(): void {
    this.program.close();
    this.file?.close();
    this.server?.close();
    const problem = this.watchdog?.close() ?? "";
    if (problem !== "") this.log.write(Level.WARNING, problem);
  }

  /** Time that the device gives, in s; 0: it could not be opened. */
  private openDevice({ device, timeoutS }: WatchdogSettings): number {
    try {
      const watchdog = new DeviceWatchdog(device, new Libc());
      const problem = watchdog.open(timeoutS);
      this.tell("watchdog", problem);
      if (problem !== "") return 0;
      this.watchdog = watchdog;
      const { bootText } = watchdog;
      if (bootText !== "") this.log.write(Level.WARNING, `${device}, last start: ${bootText}`);
      this.log.write(Level.INFO, `${device} resets the machine after ${watchdog.timeoutS} s`);
      return watchdog.timeoutS;
    } catch (error) {
      this.tell("watchdog", error instanceof Error ? error.message : String(error));
      return 0;
    }
  }

  /** One line when something goes wrong, not one each time; "" when it does no more. */
  private tell(who: string, problem: string): void {
    if ((this.problems.get(who) ?? "") === problem) return;
    this.problems.set(who, problem);
    if (problem !== "") this.log.write(Level.ERROR, problem);
  }
}
