// Listener: a service manager's socket, for tests of those who tell it something.
// Neighbours: `watchdog.test` and `test/upkeep.test.ts`.
// Invariant: it never waits; datagrams stay in the kernel until they are asked for.

import { dlopen, ptr } from "bun:ffi";

/** A service manager's socket, by the calls of libc that Bun does not have. */
export class Listener {
  private readonly libc = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
  }).symbols;
  private readonly descriptor = this.libc.socket(1, 2, 0);

  constructor(name: Buffer) {
    const address = Buffer.concat([Buffer.from([1, 0]), name]);
    if (this.libc.bind(this.descriptor, ptr(address), address.length) < 0) throw new Error("bind");
  }

  /** The next datagram, "" when there is none. */
  next(): string {
    const bytes = Buffer.alloc(4096);
    const count = this.libc.recv(this.descriptor, ptr(bytes), bytes.length, 0x40);
    return count < 0 ? "" : bytes.toString("utf8", 0, count);
  }

  close(): void {
    this.libc.close(this.descriptor);
  }
}
