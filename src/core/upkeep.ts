// Upkeep: the shape of the world around what keeps a gateway going: calendar, watchdog, service
// manager, metrics, and what the recovery ladder does.
// Neighbours: `effects` hands these names on to the ports; `schedule`, `ladder`, `pulse` and
// `metrics` ask for what they do.
// Invariant: types alone, no behaviour.

/** Says when a schedule has its next occurrence. A pure function of its argument. */
export interface Calendar {
  /** Unix s of the first occurrence later than `wallS`, whole seconds; Infinity: there is none. */
  nextS(wallS: number): number;
}

/** The hardware watchdog: a device that resets the machine when nobody feeds it. */
export interface Watchdog {
  /** Opens the device, which starts it; "" or one line that says what is wrong. */
  open(timeoutS: number): string;
  /** Time that the device really gives between two feeds, in s; 0: not open. */
  readonly timeoutS: number;
  /** What the device says of the last start of the machine; "" when it has nothing to say. */
  readonly bootText: string;
  /** One sign of life; "" or one line that says what is wrong. */
  feed(): string;
  /** Stops the device where the driver allows it; one line when it goes on counting, else "". */
  close(): string;
}

/** What the service manager is told (sd_notify(3)). */
export interface Manager {
  /** Time within which signs of life are expected, in ms; 0: none are. */
  readonly watchdogMs: number;
  /** Sends assignments, one a line, e.g. `READY=1`; "" or one line that says what is wrong. */
  tell(text: string): string;
}

/** Takes metrics as text; a newer text replaces one that is still being written. */
export interface Exposure {
  expose(text: string): void;
}

/** All of it, as the turn asks for it. */
export interface Upkeep extends Calendar, Exposure {
  /** The kernel's name for this run of the machine; "" when it tells none. */
  readonly machine: string;
  /** A sign of life for the service manager, and with `isAlive` for the hardware watchdog. */
  feed(isAlive: boolean): void;
  /** Forgets what earlier connections have left: addresses, TLS sessions. */
  refresh(): void;
  /** Runs a program, the path first; answered by `onClimbed`, never from inside the call. */
  hook(words: readonly string[]): void;
  /** Restarts the machine; answered by `onClimbed` when that fails. */
  reboot(): void;
}

/** What it tells the turn. */
export interface UpkeepEvents {
  /** A hook or a restart of the machine has ended; `detail` is "" or says what went wrong. */
  onClimbed(detail: string): void;
}
