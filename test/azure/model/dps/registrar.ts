/**
 * Registrations and the operations that bring them about. Neighbours: `desk.ts` starts and polls
 * operations, `assigner` does the work on the hub. Facts: DPS device REST.
 * Invariant: a device has at most one operation; asking again while it runs gives the same one, and
 * every finished TPM registration has made a new device key.
 */
import type { Context } from "../context.ts";
import { ServiceError } from "../errors.ts";
import { type Peer, thumbprint } from "../peer.ts";
import { randomHex, randomUuid } from "../world.ts";
import { allocate } from "./allocation.ts";
import { parseArea } from "./area.ts";
import type { Assigner, Authentication } from "./assignment.ts";
import type { Attestation } from "./attestation.ts";
import { makeBlob } from "./blob.ts";
import type { Catalog } from "./catalog.ts";
import { type Enrollment, makeEtag } from "./enrollment.ts";
import { DpsCode, DpsError } from "./errors.ts";
import { type Admission, Phase, sendBlob } from "./gate.ts";
import { tell } from "./journal.ts";
import { deviceKey, makeKey } from "./key.ts";
import { newRegistration, type Registration } from "./registration.ts";

const KEY_BYTES = 32;
/** Below this, `dps-fail` is a status of the call itself. */
export const ERROR_CODE_MIN = 100_000;

/** One run from registration to its end. */
export interface Operation {
  readonly id: string;
  readonly registrationId: string;
  readonly groupId: string;
  readonly derivedFrom: string;
  /** By which the device was let in, whatever becomes of its enrollment meanwhile. */
  readonly attestation: Attestation;
  readonly peer: Peer | undefined;
  /** Unix ms of its end. */
  readonly dueMs: number;
  /** Until it ends; a stuck one (fault) never does. */
  isAssigning: boolean;
  isStuck: boolean;
}

/** Credentials for the hub, and what goes back to a TPM. */
interface Credentials {
  authentication: Authentication;
  /** base64, `''` without a TPM. */
  blob: string;
}

function keyPair(primaryKey: string, secondaryKey: string): Credentials {
  const authentication = { type: "sas", symmetricKey: { primaryKey, secondaryKey } };
  return { authentication, blob: "" };
}

/** All registrations of one service. */
export class Registrar {
  private readonly registrations = new Map<string, Registration>();
  private readonly operations = new Map<string, Operation>();

  constructor(
    private readonly context: Context,
    private readonly devices: Catalog,
    private readonly groups: Catalog,
    private readonly assigner: Assigner,
  ) {}

  /** In order of first registration. */
  all(): Registration[] {
    return [...this.registrations.values()];
  }

  find(id: string): Registration | undefined {
    return this.registrations.get(id.toLowerCase());
  }

  /** The registration, or throws 404. */
  demand(id: string): Registration {
    const found = this.find(id);
    if (found !== undefined) return found;
    throw new DpsError(DpsCode.RegistrationNotFound, `registration ${id} does not exist`);
  }

  /** The newest operation of a device; one that is due has ended. */
  operation(id: string): Operation | undefined {
    const found = this.operations.get(id.toLowerCase());
    if (found !== undefined && found.dueMs <= this.context.nowMs()) this.finish(found);
    return found;
  }

  /** Forgets a device that registered; its hub keeps it. */
  remove(id: string): void {
    this.registrations.delete(id.toLowerCase());
    this.operations.delete(id.toLowerCase());
    this.context.revision++;
  }

  /** Starts an operation for a device that was let in, or gives the one that runs. */
  start(admission: Admission, peer: Peer | undefined): Operation {
    const { context } = this;
    const { id, enrollment } = admission;
    const running = this.operation(id);
    if (running?.isAssigning === true && !running.isStuck) return running;
    const operation: Operation = {
      id: `4.${randomHex(context.world, 8)}.${randomUuid(context.world)}`,
      registrationId: id,
      groupId: enrollment.record.isGroup ? enrollment.id : "",
      derivedFrom: admission.derivedFrom,
      attestation: enrollment.attestation,
      peer,
      dueMs: context.nowMs() + context.options.dps.assignMs,
      isAssigning: true,
      isStuck: false,
    };
    this.operations.set(id.toLowerCase(), operation);
    const registration = this.find(id) ?? newRegistration(id, context.nowMs());
    this.registrations.set(id.toLowerCase(), registration);
    this.change(registration, { status: "assigning", errorCode: 0, errorMessage: "" });
    context.agenda.at(operation.dueMs, () => this.finish(operation));
    return operation;
  }

  restore(registrations: readonly Registration[]): void {
    for (const one of registrations) {
      this.registrations.set(one.registrationId.toLowerCase(), { ...one });
    }
  }

  /** The end of an operation, unless the registration was deleted or began anew meanwhile. */
  private finish(operation: Operation): void {
    const id = operation.registrationId;
    const { faults } = this.context;
    const registration = this.find(id);
    if (!operation.isAssigning || operation.isStuck) return;
    const isNewest = this.operations.get(id.toLowerCase()) === operation;
    if (registration === undefined || !isNewest) return;
    if (faults.fires("never-assigned", id) !== undefined) {
      operation.isStuck = true;
      tell(this.context, "assigning", id, "fault never-assigned: this operation will not end");
      return;
    }
    operation.isAssigning = false;
    const failure = faults.fires("dps-fail", id, (fault) => fault.value >= ERROR_CODE_MIN);
    if (failure !== undefined) {
      this.fail(registration, failure.value, "fault dps-fail");
      return;
    }
    const catalog = operation.groupId === "" ? this.devices : this.groups;
    const enrollment = catalog.find(operation.groupId || id);
    if (enrollment === undefined) {
      this.fail(registration, DpsCode.EnrollmentNotFound, "the enrollment was deleted");
    } else if (faults.fires("dps-disabled", id) !== undefined) {
      this.disable(registration, "fault dps-disabled");
    } else if (!enrollment.settings.isEnabled) {
      this.disable(registration, `enrollment ${enrollment.id} is disabled`);
    } else {
      this.assign(registration, enrollment, operation);
    }
  }

  private assign(registration: Registration, enrollment: Enrollment, operation: Operation): void {
    const { name, dps } = this.context.options;
    const id = registration.registrationId;
    const hub = allocate(enrollment.settings, id, [name, ...dps.moreHubs]);
    if (hub === undefined) {
      const text = `none of ${enrollment.settings.hubs.join(", ")} is linked to this service`;
      this.fail(registration, DpsCode.IotHubNotFound, text);
      return;
    }
    const { deviceId } = registration;
    const { settings } = enrollment;
    const credentials = this.credentials(operation, hub);
    try {
      const { place, substatus } = this.assigner.assign({
        before: deviceId === "" ? undefined : { hub: registration.hub, deviceId },
        next: { hub, deviceId: settings.deviceId || id },
        settings,
        authentication: credentials.authentication,
      });
      const { groupId } = operation;
      const attestation = operation.attestation.type;
      const { blob } = credentials;
      const news = { status: "assigned", substatus, groupId, attestation, blob, ...place } as const;
      this.change(registration, news);
      tell(this.context, "assigned", id, `${substatus}: device ${place.deviceId} on ${place.hub}`);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      this.fail(registration, error.code, error.message);
    }
  }

  /** What the device will show to the hub. */
  private credentials(operation: Operation, hub: string): Credentials {
    const { world } = this.context;
    const { attestation } = operation;
    const id = operation.registrationId;
    switch (attestation.type) {
      case "symmetricKey": {
        const { primaryKey, secondaryKey } = attestation;
        if (operation.groupId === "") return keyPair(primaryKey, secondaryKey);
        const { derivedFrom } = operation;
        return keyPair(deviceKey(primaryKey, derivedFrom), deviceKey(secondaryKey, derivedFrom));
      }
      case "x509": {
        const primaryThumbprint = thumbprint(operation.peer!.chain[0]!, "sha256");
        const x509Thumbprint = { primaryThumbprint, secondaryThumbprint: "" };
        return { authentication: { type: "selfSigned", x509Thumbprint }, blob: "" };
      }
      case "tpm": {
        const endorsementKey = parseArea(attestation.endorsementKey);
        const storageRootKey = parseArea(attestation.storageRootKey);
        if (typeof endorsementKey === "string" || typeof storageRootKey === "string") {
          throw new Error("a TPM key that was taken does not parse");
        }
        const key = Buffer.from(world.randomBytes(KEY_BYTES));
        const blob = makeBlob(world, { endorsementKey, storageRootKey, key, uri: hub });
        const pair = keyPair(key.toString("base64"), makeKey(world, KEY_BYTES));
        return { ...pair, blob: sendBlob(this.context, id, Phase.Identity, blob) };
      }
    }
  }

  private fail(registration: Registration, errorCode: number, errorMessage: string): void {
    this.change(registration, { status: "failed", errorCode, errorMessage });
    tell(this.context, "failed", registration.registrationId, errorMessage, errorCode);
  }

  private disable(registration: Registration, reason: string): void {
    this.change(registration, { status: "disabled" });
    tell(this.context, "disabled", registration.registrationId, reason);
  }

  private change(registration: Registration, changes: Partial<Registration>): void {
    Object.assign(registration, changes);
    registration.updatedMs = this.context.nowMs();
    registration.etag = makeEtag(this.context.world);
    this.context.revision++;
  }
}
