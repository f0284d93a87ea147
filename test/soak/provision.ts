// Provision: a gateway that is provisioned and cleared again and again, and then signs and signs:
// does its memory grow, does a handle stay behind?
// Neighbours: `lives` is the gateway, a process of its own; so are local Azure and the TPM.
// Invariant: tpm2_getcap of tpm2-tools, not a part of ours, says what is left in the TPM.

import { join } from "node:path";
import { Service } from "../bench/child.ts";
import { BUN, SHIPPED, withFolder } from "../bench/place.ts";
import { format, missed, Report } from "../bench/report.ts";
import { Station } from "../bench/station.ts";
import { fit, median } from "../bench/statistics.ts";
import type { Memory } from "../bench/vitals.ts";
import { authorised, Client } from "../tpm/client.ts";
import { libraryPath } from "../tpm/library.ts";
import { Swtpm } from "../tpm/swtpm.ts";

const DEVICE = "gateway-1";
/** Looks at the memory while it signs. */
const SAMPLES = 100;
const LOCKOUT = 0x4000000a;
const TPM2_CLEAR = 0x126;
const BYTES_PER_MB = 1024 * 1024;
/** Growth over the second half of the run that still counts as flat. */
const GROWTH_MB_MAX = 1;
const LISTS = ["handles-transient", "handles-loaded-session", "handles-saved-session"];

/** One look at the gateway's memory, after so many times of what it does. */
interface Sample {
  readonly done: number;
  readonly bytes: number;
}

/** How memory went; the slope is that of the second half, when the heap has found its size. */
function tellMemory(report: Report, name: string, samples: readonly Sample[]): void {
  const half = samples.slice(samples.length >> 1);
  const { slope, error } = fit(
    half.map(({ done }) => done),
    half.map(({ bytes }) => bytes),
  );
  const quarter = Math.ceil(samples.length / 4);
  const size = (part: readonly Sample[]) =>
    format(median(part.map(({ bytes }) => bytes)) / BYTES_PER_MB, "MB");
  const [first, last] = [size(samples.slice(0, quarter)), size(samples.slice(-quarter))];
  const { done } = samples.at(-1)!;
  report.note(`RSS: first quarter ${first}, last quarter ${last} (${samples.length} samples)`);
  report.note(`slope over the second half: ${format(slope)} +- ${format(error)} bytes each`);
  report.judge([
    {
      figure: `growth over the second half of ${done} ${name}`,
      measured: (slope * done) / 2 / BYTES_PER_MB,
      ...{ sense: "at most", bound: GROWTH_MB_MAX, unit: "MB" },
    },
  ]);
}

/** What tpm2_getcap prints about handles that should not be; "" for none. */
function leftovers(port: number): string {
  const tcti = `swtpm:host=127.0.0.1,port=${port}`;
  const said = LISTS.map((list) => {
    const { stdout, stderr, exitCode } = Bun.spawnSync(["tpm2_getcap", "-T", tcti, list]);
    if (exitCode !== 0) throw new Error(`tpm2_getcap ${list}: ${stderr.toString()}`);
    return stdout.toString();
  });
  return said.join("").trim();
}

/** As a technician clears it: keys of the owner and endorsement hierarchies are gone. */
function clear(tpm: Swtpm): Promise<void> {
  return Client.with(tpm.place, async (client) => {
    const { rc } = await client.send(authorised(TPM2_CLEAR, [LOCKOUT], [new Uint8Array(0)]));
    if (rc !== 0) throw new Error(`TPM2_Clear: 0x${rc.toString(16)}`);
  });
}

/** A TPM, a cloud, and the gateway between them. */
class Stage {
  /** Kinds of output of tpm2_getcap that were seen. */
  readonly left = new Set<string>();

  constructor(
    private readonly station: Station,
    private readonly tpm: Swtpm,
    private readonly gateway: Service<unknown>,
    private readonly port: number,
  ) {}

  private async ask(words: string): Promise<number> {
    this.gateway.tell(words);
    const { residentBytes } = await this.gateway.next<Memory>();
    this.left.add(leftovers(this.port));
    return residentBytes;
  }

  /** TPM, enrollment and gateway as they were on the first day. */
  private async reset(): Promise<void> {
    await clear(this.tpm);
    this.station.forget();
    await this.station.enrol(this.tpm.place, DEVICE);
  }

  async cycles(count: number): Promise<Sample[]> {
    const samples: Sample[] = [];
    for (let done = 1; done <= count; done++) {
      if (done > 1) await this.reset();
      samples.push({ done, bytes: await this.ask("live") });
    }
    return samples;
  }

  async signatures(count: number): Promise<Sample[]> {
    const samples: Sample[] = [];
    const each = Math.ceil(count / SAMPLES);
    for (let done = each; done <= count; done += each) {
      samples.push({ done, bytes: await this.ask(`sign ${each}`) });
    }
    return samples;
  }
}

async function soak(folder: string, cycles: number, signatures: number): Promise<Report> {
  libraryPath();
  const report = new Report();
  const station = await Station.open(folder);
  const tpm = await Swtpm.tcp();
  const port = "port" in tpm.place ? tpm.place.port : 0;
  await station.enrol(tpm.place, DEVICE);
  const words = [join(import.meta.dir, "lives.ts"), station.settings(`127.0.0.1:${port}`)];
  const gateway = await Service.start<unknown>([BUN, ...words], SHIPPED);
  const stage = new Stage(station, tpm, gateway, port);
  try {
    report.heading(`provision: ${cycles} times blank TPM -> connected -> TPM2_Clear`);
    const startMs = performance.now();
    tellMemory(report, "cycles", await stage.cycles(cycles));
    report.note(`took ${format((performance.now() - startMs) / 1000, "s")}`);
    report.heading(`sign: ${signatures} signatures with the device key`);
    tellMemory(report, "signatures", await stage.signatures(signatures));
    report.heading(`tpm2_getcap ${LISTS.join(", ")}: after each cycle and each look`);
    stage.left.delete("");
    for (const found of stage.left) report.note(found);
    const figure = "kinds of handles left behind";
    const measured = stage.left.size;
    report.judge([{ figure, measured, sense: "at most", bound: 0, unit: "" }]);
  } finally {
    await gateway.stop();
    await tpm.stop();
    await station.stop();
  }
  return report;
}

/** One line for each aim that was missed. */
export async function provision(cycles: number, signatures: number): Promise<readonly string[]> {
  return missed(await withFolder((folder) => soak(folder, cycles, signatures)));
}
