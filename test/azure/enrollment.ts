/**
 * The client's commands for the provisioning service: enroll a device or a group, look after
 * enrollments and registrations. Neighbours: `client.ts` runs them, `remote.ts` talks to the
 * emulator. Invariant: keys are printed by `enroll` and `enrollment key` alone.
 */
import { readFileSync } from "node:fs";
import { deviceKey } from "./model/dps/key.ts";
import { Refused, type Remote } from "./remote.ts";
import { need, noMore, parse, print, printJson, type Row, Usage } from "./words.ts";

/** Options of `enroll`. */
export interface EnrollOptions {
  /** Enrollment or TPM facts: a file, `-` or JSON. */
  tpm?: string | undefined;
  /** Registration id of a device with a symmetric key. */
  symmetric?: string | undefined;
  /** Registration id of a device with a certificate. */
  x509?: string | undefined;
  /** Id of a group: symmetric keys, or an authority with `cert`. */
  group?: string | undefined;
  /** PEM file. */
  cert?: string | undefined;
  /** Symmetric key, base64; absent: the service makes one. */
  primaryKey?: string | undefined;
  deviceId?: string | undefined;
  /** JSON of desired properties, or of a whole initial twin. */
  twin?: string | undefined;
  hub?: string | undefined;
  reprovision?: string | undefined;
  disabled?: boolean | undefined;
}

const POLICIES: Readonly<Record<string, Row>> = {
  migrate: { updateHubAssignment: true, migrateDeviceData: true },
  reset: { updateHubAssignment: true, migrateDeviceData: false },
  keep: { updateHubAssignment: false, migrateDeviceData: false },
};

function readFile(path: string): string {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (error) {
    throw new Refused(`${path}: ${(error as { code?: string }).code ?? "cannot be read"}`);
  }
}

/** An enrollment from what `azimuth tpm` prints, be it the enrollment itself or the bare facts. */
function tpmBody(spec: string): Row {
  const text = spec.trimStart().startsWith("{") ? spec : readFile(spec);
  const given = parse(text, "--tpm") as Row | null;
  if (given === null || typeof given !== "object") throw new Usage("--tpm is not a JSON object");
  if ("attestation" in given) return given;
  const { registrationId, endorsementKey, deviceId } = given;
  if (registrationId === undefined || endorsementKey === undefined) {
    throw new Usage("--tpm must have registrationId, and attestation or endorsementKey");
  }
  const attestation = { type: "tpm", tpm: { endorsementKey } };
  return { registrationId, attestation, ...(deviceId === undefined ? {} : { deviceId }) };
}

function keyBody(options: EnrollOptions): Row {
  const primaryKey = options.primaryKey ?? "";
  return { attestation: { type: "symmetricKey", symmetricKey: { primaryKey, secondaryKey: "" } } };
}

function certificateBody(options: EnrollOptions, kind: string): Row {
  const certificate = readFile(need(options.cert, "--cert FILE"));
  return { attestation: { type: "x509", x509: { [kind]: { primary: { certificate } } } } };
}

/** Path and body before the options that all kinds have. */
function enrollmentOf(options: EnrollOptions): { path: string; body: Row } {
  const { tpm, symmetric, x509, group, cert } = options;
  if ([tpm, symmetric, x509, group].filter((one) => one !== undefined).length !== 1) {
    throw new Usage("enroll takes one of --tpm FILE|JSON, --symmetric ID, --x509 ID, --group ID");
  }
  if (group !== undefined) {
    const body = cert === undefined ? keyBody(options) : certificateBody(options, SIGNING);
    const path = `/enrollmentGroups/${encodeURIComponent(group)}`;
    return { path, body: { enrollmentGroupId: group, ...body } };
  }
  const own = symmetric === undefined ? certificateBody : keyBody;
  const given = tpm === undefined ? own(options, CLIENT) : tpmBody(tpm);
  const registrationId = String(given.registrationId ?? symmetric ?? x509);
  const path = `/enrollments/${encodeURIComponent(registrationId)}`;
  return { path, body: { registrationId, ...given } };
}

const SIGNING = "signingCertificates";
const CLIENT = "clientCertificates";

/** Options that every kind may have. */
function extras(options: EnrollOptions): Row {
  const { deviceId, twin, hub, reprovision, disabled } = options;
  const body: Row = {};
  if (deviceId !== undefined) body.deviceId = deviceId;
  if (hub !== undefined) body.iotHubHostName = hub;
  if (disabled === true) body.provisioningStatus = "disabled";
  if (twin !== undefined) {
    const given = parse(twin, "--twin") as Row | null;
    if (given === null || typeof given !== "object") throw new Usage("--twin is not a JSON object");
    const isTwin = "properties" in given || "tags" in given;
    body.initialTwin = isTwin ? given : { properties: { desired: given } };
  }
  if (reprovision !== undefined) {
    const policy = Object.hasOwn(POLICIES, reprovision) ? POLICIES[reprovision] : undefined;
    if (policy === undefined) throw new Usage("--reprovision must be migrate, reset or keep");
    body.reprovisionPolicy = policy;
  }
  return body;
}

/** `enroll`: makes an enrollment and prints what a device needs to register. */
export async function enroll(remote: Remote, options: EnrollOptions): Promise<void> {
  const { path, body } = enrollmentOf(options);
  const all = { ...body, ...extras(options) };
  const made = (await remote.provision("PUT", path, all)) as Row;
  const state = (await remote.control("GET", "state")) as { dps: { idScope: string } };
  const { registrationId, enrollmentGroupId, deviceId, attestation } = made;
  const { type } = attestation as { type: string };
  const mechanism = (await remote.provision("POST", `${path}/attestationmechanism`)) as Row;
  const keys = (mechanism.symmetricKey ?? {}) as Row;
  const { idScope } = state.dps;
  printJson({ idScope, registrationId, enrollmentGroupId, deviceId, type, ...keys });
}

/** Path of the enrollment of a device, or else of a group. */
async function pathOf(remote: Remote, id: string): Promise<string> {
  const path = `/enrollments/${encodeURIComponent(id)}`;
  try {
    await remote.provision("GET", path);
    return path;
  } catch (error) {
    if (!(error instanceof Refused) || !error.message.startsWith("404")) throw error;
    return `/enrollmentGroups/${encodeURIComponent(id)}`;
  }
}

async function list(remote: Remote): Promise<void> {
  const query = { query: "SELECT * FROM enrollments" };
  for (const room of ["enrollments", "enrollmentGroups"]) {
    for (const row of (await remote.provision("POST", `/${room}/query`, query)) as Row[]) {
      const { type } = row.attestation as { type: string };
      const kind = room === "enrollments" ? "device" : "group";
      const id = row.registrationId ?? row.enrollmentGroupId;
      print(`${id} ${kind} ${type} ${row.provisioningStatus}`);
    }
  }
}

/** `enrollment list | show | delete | enable | disable | key`. */
export async function enrollment(remote: Remote, words: readonly string[]): Promise<void> {
  const allowed = "list|show|delete|enable|disable|key";
  const verb = need(words[0], `what to do with enrollments (${allowed})`);
  noMore(words, verb === "list" ? 1 : verb === "key" ? 3 : 2);
  if (verb === "list") return list(remote);
  if (!allowed.split("|").includes(verb)) {
    throw new Usage(`enrollment ${verb} is unknown; allowed: ${allowed.replaceAll("|", " ")}`);
  }
  const path = await pathOf(remote, need(words[1], "an enrollment id"));
  switch (verb) {
    case "show":
      return printJson(await remote.provision("GET", path));
    case "delete":
      await remote.provision("DELETE", path);
      return;
    case "key": {
      const registrationId = need(words[2], "the registration id of the group's device");
      const { symmetricKey } = (await remote.provision("POST", `${path}/attestationmechanism`)) as {
        symmetricKey?: { primaryKey: string };
      };
      if (symmetricKey === undefined) throw new Refused(`${words[1]} has no symmetric keys`);
      return print(deviceKey(symmetricKey.primaryKey, registrationId));
    }
    default: {
      const found = (await remote.provision("GET", path)) as Row;
      const changed = { ...found, provisioningStatus: `${verb}d` };
      await remote.provision("PUT", path, changed, String(found.etag));
    }
  }
}

/** `registration show | delete`. */
export async function registration(remote: Remote, words: readonly string[]): Promise<void> {
  const verb = need(words[0], "what to do with registrations (show|delete)");
  const path = `/registrations/${encodeURIComponent(need(words[1], "a registration id"))}`;
  noMore(words, 2);
  if (verb === "show") printJson(await remote.provision("GET", path));
  else if (verb === "delete") await remote.provision("DELETE", path);
  else throw new Usage(`registration ${verb} is unknown; allowed: show delete`);
}
