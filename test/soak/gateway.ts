// Gateway: one life of an agent with a TPM inside this process: production turn and ports.
// Neighbours: `provision` lives one after the other; `test/bench/station.ts` has the cloud.
// Invariant: nothing of a life is left when it has ended: socket, timer or connection to the TPM.

import { join } from "node:path";
import type { Ports, TpmEvents } from "../../src/core/effects.ts";
import { parsePlace } from "../../src/core/place.ts";
import type { Settings } from "../../src/core/settings.ts";
import { Prng } from "../../src/kit/prng.ts";
import { TimerAlarm } from "../../src/port/alarm.ts";
import { SystemClock } from "../../src/port/clock.ts";
import { Courier } from "../../src/port/courier.ts";
import { Dialer } from "../../src/port/dial.ts";
import { bootId, seed } from "../../src/port/entropy.ts";
import { HttpsProbe, HttpsWeb } from "../../src/port/https.ts";
import { FileMemo } from "../../src/port/memo.ts";
import { Salvage } from "../../src/port/salvage.ts";
import { SqliteStore } from "../../src/port/store.ts";
import { SocketChip } from "../../src/port/swtpm.ts";
import { Tls } from "../../src/port/tls.ts";
import type { Library } from "../../src/port/tpm.ts";
import { Vault } from "../../src/port/vault.ts";
import { Turn } from "../../src/turn.ts";
import { CALM } from "../calm.ts";

const QUEUE_BYTES = 1024 * 1024;
const dial = new Dialer(null).open;

/** Longer than anything that a life waits for. */
const LIFE_MS = 30_000;

/** The TPM of a software TPM's socket, by the production port. */
export function courierTo(events: TpmEvents, settings: Settings, library: Library): Courier {
  const place = parsePlace(settings.endpoint.tpm);
  if (place === undefined || "device" in place) throw new Error("the TPM is behind a socket");
  return new Courier(
    events,
    library,
    new SystemClock(),
    (chip) => new SocketChip(chip, place),
    (onAlarm) => new TimerAlarm(onAlarm),
  );
}

/** From the start over the first connection to the end, as a process would live. */
export function live(settings: Settings, roots: string, library: Library): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const log: string[] = [];
  const late = setTimeout(() => reject(new Error(`no connection:\n${log.join("\n")}`)), LIFE_MS);
  const tpm = courierTo(
    {
      onTpmOpened: () => turn.onTpmOpened(),
      onTpmClosed: (detail) => turn.onTpmClosed(detail),
      onTpmDone: (...answer) => turn.onTpmDone(...answer),
    },
    settings,
    library,
  );
  const never = () => reject(new Error("nobody asks for that here"));
  const ports: Ports = {
    clock: new SystemClock(),
    uplink: new Tls(
      {
        onOpened: () => turn.onOpened(),
        onSecured: () => turn.onSecured(),
        onData: (chunk) => turn.onData(chunk),
        onWritable: () => turn.onWritable(),
        onClosed: (cause, detail) => turn.onClosed(cause, detail),
      },
      dial,
    ),
    signer: { sign: never },
    probe: new HttpsProbe({ onProbed: (probed) => turn.onProbed(probed) }, dial),
    pins: { drive: () => "" },
    alarm: new TimerAlarm(() => turn.onAlarm()),
    control: { reply: never },
    log: {
      write: (_level, text) => {
        log.push(text);
        // Not from inside the turn that says so.
        if (text.startsWith("connected to ")) queueMicrotask(() => turn.stop());
      },
    },
    tpm,
    web: new HttpsWeb({ onFetched: (ticket, answer) => turn.onFetched(ticket, answer) }, dial),
    store: new SqliteStore(new Vault(":memory:", QUEUE_BYTES, new Salvage()), {
      onStoreSynced: (detail) => turn.onStoreSynced(detail),
    }),
    memo: new FileMemo(
      { onSaved: (problem) => turn.onSaved(problem) },
      join(settings.agent.stateFolder, "assignment.json"),
    ),
    upkeep: CALM,
    sha256: (bytes) => new Bun.CryptoHasher("sha256").update(bytes).digest(),
    reload: never,
    exit: () => {
      clearTimeout(late);
      tpm.close();
      resolve();
    },
  };
  const turn: Turn = new Turn(ports, settings, roots, new Prng(seed()), bootId());
  turn.start();
  tpm.open();
  return promise;
}
