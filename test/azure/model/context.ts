/**
 * What all parts of one hub share: options, world, agenda, registry, faults, methods, the way to
 * report events. Neighbours: `hub.ts` makes it and hides it; every part is handed it.
 * Invariant: output collected in a step leaves at `flush`, in the order connections were touched.
 */
import { Agenda } from "./agenda.ts";
import { isoTime } from "./calendar.ts";
import { Codec } from "./codec.ts";
import type { Connection } from "./connection.ts";
import type { Dps } from "./dps/dps.ts";
import type { HubEvent } from "./events.ts";
import { Faults } from "./faults.ts";
import { Feedback } from "./feedback.ts";
import { Methods } from "./methods.ts";
import type { HubOptions } from "./options.ts";
import { Registry } from "./registry.ts";
import type { World } from "./world.ts";

/** Shared state of one hub. */
export class Context {
  readonly agenda = new Agenda();
  readonly codec = new Codec();
  readonly connections = new Set<Connection>();
  readonly feedback = new Feedback();
  readonly registry: Registry;
  readonly faults: Faults;
  readonly methods: Methods;
  /** The provisioning service; `hub.ts` sets it, for it works with the hub. */
  dps: Dps | undefined;
  /** Grows with everything that belongs into a file. */
  revision = 0;
  private touched: Connection[] = [];

  constructor(
    readonly world: World,
    readonly options: HubOptions,
    private readonly onEvent: (event: HubEvent) => void,
  ) {
    this.registry = new Registry(world);
    this.faults = new Faults(this);
    this.methods = new Methods(this);
  }

  /** Unix ms of the service. */
  nowMs(): number {
    return this.world.nowMs();
  }

  /** ISO time of the service, for events. */
  at(): string {
    return isoTime(this.world.nowMs());
  }

  emit(event: HubEvent): void {
    this.onEvent(event);
  }

  /** Notes that a connection has output to be flushed. */
  touch(connection: Connection): void {
    this.touched.push(connection);
  }

  /** Sends what the step has collected, one write a connection. */
  flush(): void {
    if (this.touched.length === 0) return;
    const touched = this.touched;
    this.touched = [];
    for (const connection of touched) connection.flush();
  }
}
