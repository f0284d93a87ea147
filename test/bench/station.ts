// Station: local Azure with its DPS as a process of its own, and what an operator does there for a
// gateway with a TPM: the enrollment, the settings file.
// Neighbours: the figures and soaks of the endpoint of type tpm; `test/tpm/swtpm.ts` is the TPM.
// Invariant: an enrollment made here knows no storage root key: a cleared TPM is welcome.

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPlace, Remote } from "../azure/remote.ts";
import type { Ready } from "../azure/server/ready.ts";
import { Client, EK_TEMPLATE, ENDORSEMENT } from "../tpm/client.ts";
import type { Place } from "../tpm/swtpm.ts";
import { Service } from "./child.ts";
import { BUN, TREE } from "./place.ts";

/** Local Azure for gateways that register by their TPM. */
export class Station {
  private registrationId = "";

  private constructor(
    private readonly service: Service<Ready>,
    private readonly remote: Remote,
    private readonly folder: string,
  ) {}

  /** @param retryAfterS what DPS says while it assigns; it has done so at the first poll */
  static async open(folder: string, retryAfterS = 1): Promise<Station> {
    const data = join(folder, "azure");
    const words = ["serve", "--quiet", "--assign-ms", "0", "--retry-after", `${retryAfterS}`];
    const command = [BUN, join(TREE, "test/azure/main.ts"), ...words, "--data", data];
    const service = await Service.start<Ready>(command);
    return new Station(service, new Remote(findPlace({ data })), folder);
  }

  /** Enrols the TPM under that registration id, in place of what was enrolled under it before. */
  async enrol(tpm: Place, registrationId: string): Promise<void> {
    this.registrationId = registrationId;
    const key = await endorsementKey(tpm);
    const path = `/enrollments/${registrationId}`;
    await this.remote.provision("DELETE", path).catch(() => {});
    const attestation = { type: "tpm", tpm: { endorsementKey: key.toString("base64") } };
    await this.remote.provision("PUT", path, { registrationId, attestation });
  }

  /** Writes the settings of a gateway with the TPM that was enrolled last, at `tpm`; their path. */
  settings(tpm: string): string {
    const { mqttPort, httpsPort, caFile, idScope } = this.service.ready;
    const path = join(this.folder, "azimuth.ini");
    const lines = [
      "[endpoint]",
      "type = tpm",
      `id-scope = ${idScope}`,
      `registration-id = ${this.registrationId}`,
      "dps-host = localhost",
      `dps-port = ${httpsPort}`,
      `mqtt-port = ${mqttPort}`,
      `ca-file = ${caFile}`,
      `tpm = swtpm:${tpm}`,
      "[data]",
      "connect.auto-on-startup = true",
      "connect.retry-interval = 1",
      "[telemetry]",
      "interval = 0",
      "[agent]",
      `control-socket = ${join(this.folder, "control.sock")}`,
      `state-dir = ${this.state}`,
    ];
    writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o600 });
    return path;
  }

  get caFile(): string {
    return this.service.ready.caFile;
  }

  /** Takes the assignment from the gateway, as a new one has none. */
  forget(): void {
    rmSync(this.state, { recursive: true, force: true });
  }

  private get state(): string {
    return join(this.folder, "state");
  }

  stop(): Promise<void> {
    return this.service.stop();
  }
}

/** As the portal wants it; nothing of it stays in the TPM. */
function endorsementKey(tpm: Place): Promise<Buffer> {
  return Client.with(tpm, async (client) => {
    await client.startup();
    const { handle, publicArea } = await client.createPrimary(ENDORSEMENT, EK_TEMPLATE);
    await client.flush(handle);
    return publicArea;
  });
}
