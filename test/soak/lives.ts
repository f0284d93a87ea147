// Lives: a process that is an agent with a TPM, again and again: its memory is what is looked at.
//   bun test/soak/lives.ts SETTINGS: each line on standard input asks for one thing.
// Neighbours: `provision` asks, and does everything else in its own process; `gateway` is a life.
// Invariant: each line is answered with one line of JSON; what fails ends the process.

import { configure } from "../../src/command/configuration.ts";
import { Counters } from "../../src/core/counters.ts";
import { Effects, type TpmRequest, Verb } from "../../src/core/effects.ts";
import { SignAsDevice } from "../../src/core/procedure.ts";
import type { Settings } from "../../src/core/settings.ts";
import { Vault } from "../../src/core/vault.ts";
import { Library } from "../../src/port/tpm.ts";
import { memoryOf } from "../bench/vitals.ts";
import { libraryPath } from "../tpm/library.ts";
import { courierTo, live } from "./gateway.ts";

/** Signs so often with the device key, one after the other, by vault and port. */
function sign(settings: Settings, library: Library, times: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const effects = new Effects();
  const vault = new Vault(effects, new Counters());
  let left = times;
  const next = (): void => vault.run(new SignAsDevice(0, Buffer.from(`hub\n${left}`)));
  const drain = (): void => {
    for (let slot = 0; slot < effects.count; slot++) {
      const ticket = effects.numbers[slot]!;
      if (effects.verbs[slot] === Verb.SWEEP) tpm.flushAll(ticket);
      else tpm.perform(ticket, effects.take(slot) as TpmRequest);
    }
    effects.count = 0;
  };
  const tpm = courierTo(
    {
      onTpmOpened: () => {
        vault.onOpened();
        drain();
      },
      onTpmClosed: (detail) => reject(new Error(detail)),
      onTpmDone: (ticket, rc, handle, output) => {
        if (vault.onDone(ticket, rc, handle, output)) {
          if (vault.outcome !== "") return reject(new Error(vault.outcome));
          left -= 1;
          if (left === 0) return resolve();
          next();
        }
        drain();
      },
    },
    settings,
    library,
  );
  next();
  tpm.open();
  return promise.finally(() => tpm.close());
}

const configured = await configure(process.argv[2] ?? "");
if (!("settings" in configured)) throw new Error(configured.join("\n"));
const { settings, roots } = configured;
const library = new Library(libraryPath());
console.log(JSON.stringify({ ready: true }));
for await (const line of console) {
  const [word, count] = line.split(" ");
  if (word === "sign") await sign(settings, library, Number(count));
  else await live(settings, roots, library);
  Bun.gc(true);
  console.log(JSON.stringify(memoryOf(process.pid)));
}
