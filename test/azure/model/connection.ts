/**
 * One device connection from TLS to its end: cuts and guards the stream, dispatches packets, keeps
 * the deadlines of silence and token. Neighbours: `admission.ts` judges CONNECT, `publish.ts` and
 * `subscription.ts` handle the rest. Invariant: `end` is the one way out; it runs once.
 */

import { onConnect } from "./admission.ts";
import type { Entry } from "./agenda.ts";
import { type ConnectPacket, encode, type Packet } from "./codec.ts";
import type { Context } from "./context.ts";
import type { Device } from "./device.ts";
import { codeName, HubCode } from "./errors.ts";
import { Framer } from "./framer.ts";
import { connectCheck, PacketType, packetName, packetProblem } from "./guard.ts";
import { Outbox } from "./outbox.ts";
import type { Peer } from "./peer.ts";
import { onPublish, publishWill } from "./publish.ts";
import { onSubscribe, onUnsubscribe } from "./subscription.ts";
import type { Link } from "./world.ts";

/** Life of a connection. */
export enum Stage {
  /** CONNECT has not come. */
  Waiting = 0,
  /** CONNECT has come, CONNACK is held back (fault); input waits. */
  Held = 1,
  Up = 2,
  /** Half-open (fault): input is swallowed, nothing is sent, the socket stays. */
  Dark = 3,
  Closed = 4,
}

/** Another service than the hub that has taken a connection over at CONNECT. */
export interface Guest {
  /** Any packet but PINGREQ and DISCONNECT. */
  onPacket(packet: Packet): void;
}

/** Input that may wait while CONNACK is held back, bytes. */
const HELD_BYTES_MAX = 1_048_576;

type Will = NonNullable<ConnectPacket["will"]>;

/** A device connection. */
export class Connection {
  stage = Stage.Waiting;
  device: Device | undefined;
  guest: Guest | undefined;
  /** Id that CONNECT named, known or not; `''` before. */
  deviceId = "";
  will: Will | undefined;
  /** PUBACKs that a fault holds back, oldest first. */
  readonly lateAcks: { messageId: number; dueMs: number }[] = [];
  /** Messages left before overload, and when that was counted. */
  credit = 0;
  creditMs = 0;
  private readonly framer: Framer;
  private readonly outbox = new Outbox();
  private heardMs: number;
  private silenceMs = Number.POSITIVE_INFINITY;
  private silenceEntry: Entry | undefined;
  private tokenEntry: Entry | undefined;

  constructor(
    readonly context: Context,
    private readonly link: Link,
    readonly remote: string,
    /** Certificates that the device has shown in its TLS handshake. */
    readonly peer?: Peer,
  ) {
    this.framer = new Framer(context.options.limits.packetBytesMax);
    this.heardMs = context.nowMs();
    const waitS = context.options.limits.connectWaitS;
    this.silenceEntry = context.agenda.at(this.heardMs + waitS * 1000, () => {
      this.close(HubCode.DeviceConnectionClosedRemotely, `no CONNECT within ${waitS} s`);
    });
  }

  /** Bytes from the device; they may be used again after the call. */
  onData(bytes: Uint8Array): void {
    if (this.stage === Stage.Closed || this.stage === Stage.Dark) return;
    this.heardMs = this.context.nowMs();
    this.framer.feed(bytes);
    this.drain();
    this.framer.settle();
    this.context.flush();
  }

  /** The device's side of the socket is gone. */
  onClosed(): void {
    if (this.stage === Stage.Closed) return;
    this.end("device", HubCode.DeviceConnectionClosedRemotely, "socket closed without DISCONNECT");
    this.context.flush();
  }

  /** Takes packets off the stream while they may be taken. */
  drain(): void {
    while (this.stage === Stage.Waiting || this.stage === Stage.Up) {
      if (this.stage === Stage.Waiting && this.framer.peek() >= 0) {
        const type = this.framer.peek() >> 4;
        if (type !== PacketType.Connect) {
          const name = packetName(type);
          this.close(
            HubCode.ArgumentInvalid,
            `first packet is ${name}, not CONNECT [MQTT-3.1.0-1]`,
          );
          return;
        }
      }
      const frame = this.framer.next();
      if (frame === null) {
        if (this.framer.problem !== "") this.close(this.framer.problemCode, this.framer.problem);
        return;
      }
      this.onFrame(frame);
    }
    if (this.stage === Stage.Held && this.framer.buffered > HELD_BYTES_MAX) {
      this.close(HubCode.ThrottleBacklogLimitExceeded, "too much input before CONNACK");
    }
  }

  /** Queues a packet for the device; it leaves at the end of the step. */
  send(packet: Packet): void {
    if (this.stage === Stage.Dark || this.stage === Stage.Closed) return;
    if (this.outbox.isEmpty) this.context.touch(this);
    encode(packet, this.outbox);
  }

  /** Sends what was queued, in one write. */
  flush(): void {
    if (!this.outbox.isEmpty) this.link.send(this.outbox.take());
  }

  /** Ends the connection from the hub's side, with the reason for the log. */
  close(code: HubCode, reason: string): void {
    if (this.stage === Stage.Closed) return;
    this.end("hub", code, reason);
    this.flush();
    this.link.close(code, reason);
  }

  /** Refuses a CONNECT: CONNACK with `returnCode`, then the end. */
  refuse(returnCode: number, code: HubCode, reason: string): void {
    const { context, deviceId, remote } = this;
    this.send({ cmd: "connack", sessionPresent: false, returnCode });
    const at = context.at();
    const name = codeName(code);
    context.emit({
      type: "refuse",
      at,
      deviceId,
      remote,
      returnCode,
      code,
      codeName: name,
      reason,
    });
    this.close(code, reason);
  }

  /** Holds everything back until the fault's time is over, then goes on with `then`. */
  hold(ms: number, then: () => void): void {
    this.stage = Stage.Held;
    this.context.agenda.cancel(this.silenceEntry);
    this.context.agenda.at(this.context.nowMs() + ms, () => {
      if (this.stage !== Stage.Held) return;
      then();
      this.drain();
      this.framer.settle();
    });
  }

  /** Fault: from now on nothing is heard and nothing is said. */
  darken(): void {
    this.flush();
    if (this.device === undefined) this.context.agenda.cancel(this.silenceEntry);
    this.stage = Stage.Dark;
  }

  /** Starts the deadlines of an accepted connection; `expiryMs`: of its token, Unix ms. */
  watch(keepAliveS: number, expiryMs: number): void {
    const { agenda, options } = this.context;
    const boundS = options.limits.keepAliveMaxS;
    this.silenceMs = (keepAliveS === 0 ? boundS : Math.min(keepAliveS, boundS)) * 1500;
    agenda.cancel(this.silenceEntry);
    this.armSilence();
    this.tokenEntry = agenda.at(expiryMs + options.graceS * 1000, () => {
      const text = `token expired ${options.graceS} s ago and was not renewed`;
      this.lose(HubCode.IotHubUnauthorizedAccess, text);
    });
  }

  private armSilence(): void {
    const dueMs = this.heardMs + this.silenceMs;
    this.silenceEntry = this.context.agenda.at(dueMs, () => this.onSilence());
  }

  private onSilence(): void {
    if (this.context.nowMs() < this.heardMs + this.silenceMs) {
      this.armSilence();
      return;
    }
    const text = `nothing heard for ${this.silenceMs / 1000} s, 1.5 times the keep-alive`;
    this.lose(HubCode.DeviceConnectionClosedRemotely, `${text} [MQTT-3.1.2-24]`);
  }

  /** Closes; a dark connection ends for the hub only, for its socket must look alive. */
  private lose(code: HubCode, reason: string): void {
    if (this.stage !== Stage.Dark) this.close(code, reason);
    else this.detach("hub", code, reason, true);
  }

  private onFrame(frame: Buffer): void {
    const type: PacketType = frame[0]! >> 4;
    if (type === PacketType.Connect) {
      this.onConnectFrame(frame);
      return;
    }
    const problem = packetProblem(frame);
    const packet = problem === "" ? this.context.codec.decode(frame) : null;
    if (packet === null) {
      this.close(HubCode.ArgumentInvalid, problem || this.context.codec.problem);
      return;
    }
    this.onPacket(packet);
  }

  private onConnectFrame(frame: Buffer): void {
    if (this.stage !== Stage.Waiting) {
      this.close(HubCode.ArgumentInvalid, "second CONNECT on one connection [MQTT-3.1.0-2]");
      return;
    }
    const check = connectCheck(frame);
    if (check.isLevelRefused) {
      this.refuse(1, HubCode.ArgumentInvalid, `${check.problem} [MQTT-3.1.2-2]`);
      return;
    }
    const packet = check.problem === "" ? this.context.codec.decode(frame) : null;
    if (packet?.cmd !== "connect") {
      this.close(HubCode.ArgumentInvalid, check.problem || this.context.codec.problem);
      return;
    }
    onConnect(this, packet);
  }

  private onPacket(packet: Packet): void {
    if (this.guest !== undefined && packet.cmd !== "pingreq" && packet.cmd !== "disconnect") {
      this.guest.onPacket(packet);
      return;
    }
    switch (packet.cmd) {
      case "publish":
        onPublish(this, packet);
        return;
      case "puback": {
        const problem = this.device!.mailbox.acknowledge(this.context, packet.messageId!);
        if (problem !== "") this.close(HubCode.ArgumentInvalid, problem);
        return;
      }
      case "pingreq":
        if (this.context.faults.fires("no-pingresp", this.deviceId) === undefined) {
          this.send({ cmd: "pingresp" });
        }
        return;
      case "subscribe":
        onSubscribe(this, packet);
        return;
      case "unsubscribe":
        onUnsubscribe(this, packet);
        return;
      case "disconnect":
        this.end("device", HubCode.DeviceConnectionClosedRemotely, "DISCONNECT", false);
        this.flush();
        this.link.close(HubCode.None, "DISCONNECT");
        return;
      default:
        this.close(
          HubCode.ArgumentInvalid,
          `${packet.cmd.toUpperCase()} belongs to QoS 2, which the hub has not`,
        );
    }
  }

  /** The one way out. A dark connection may have left the hub before. */
  private end(by: "hub" | "device", code: HubCode, reason: string, withWill = true): void {
    const isAttached = this.context.connections.has(this);
    this.stage = Stage.Closed;
    if (isAttached) this.detach(by, code, reason, withWill);
  }

  /** Leaves the hub: deadlines, registry, session, log, will. */
  private detach(by: "hub" | "device", code: HubCode, reason: string, withWill: boolean): void {
    const { context, device, deviceId, remote } = this;
    context.connections.delete(this);
    context.agenda.cancel(this.silenceEntry);
    context.agenda.cancel(this.tokenEntry);
    if (device !== undefined && device.connection === this) {
      device.connection = undefined;
      device.connectionMs = context.nowMs();
      const isStored = device.session !== undefined && !device.session.isClean;
      device.mailbox.release(context, isStored);
      if (!isStored) device.session = undefined;
    }
    const at = context.at();
    const name = codeName(code);
    context.emit({ type: "close", at, deviceId, remote, by, code, codeName: name, reason });
    if (withWill && this.will !== undefined) publishWill(this, this.will);
    this.will = undefined;
  }
}
