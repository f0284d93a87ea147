// Waiters: control clients that asked for something which takes a while.
// Neighbours: `agent` keeps one list for connect and one for disconnect.
// Invariant: each client is answered exactly once; the list is bounded though a client that hangs
// up leaves its place in it.

import { CONTROL_CLIENTS_MAX } from "../limits.ts";
import type { Effects } from "./effects.ts";

/** Clients that wait for one and the same outcome. */
export class Waiters {
  private readonly clients: number[] = [];

  constructor(private readonly effects: Effects) {}

  /** @param client number of the control client; -1 stands for nobody */
  add(client: number): void {
    if (client < 0) return;
    if (this.clients.length === CONTROL_CLIENTS_MAX) {
      // The port serves no more at once, so at least one has gone; most likely the oldest.
      this.effects.reply(this.clients.shift()!, false, "too many clients wait for this");
    }
    this.clients.push(client);
  }

  get isEmpty(): boolean {
    return this.clients.length === 0;
  }

  /** Tells all of them how it went. */
  tell(ok: boolean, text: string): void {
    for (const client of this.clients) this.effects.reply(client, ok, text);
    this.clients.length = 0;
  }
}
