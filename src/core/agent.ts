// Agent: wants to be connected or not, and makes it so; owns all other machines.
// Neighbours: the turn calls one event method a step and drains the effects; `link` is the
// connection, `traffic` the conversation over it, `credential` the token that opens it and
// `recovery` what follows when it fails.
// Invariant: only this machine opens and closes the link; a wanted connection always comes back;
// what an operator asks for never outlives the process.

import type { Reader } from "../codec/reader.ts";
import type { Writer } from "../codec/writer.ts";
import { assert, unreachable } from "../kit/assert.ts";
import type { Prng } from "../kit/prng.ts";
import { SIGN_MS } from "../limits.ts";
import type { Credential } from "./credential.ts";
import { type Ending, undialled } from "./diagnosis.ts";
import { Cause, type Effects, Level, type Probed, type Store } from "./effects.ts";
import { Ended, type Identity, type Origin } from "./identity.ts";
import { type Link, LinkState } from "./link.ts";
import { Machines } from "./machines.ts";
import { joined, type Settings } from "./settings.ts";
import { AgentState } from "./state.ts";
import type { Traffic } from "./traffic.ts";
import { Waiters } from "./waiters.ts";

export { AgentState } from "./state.ts";

const NEVER = Number.POSITIVE_INFINITY;

/** The device: everything that is decided, nothing that is done. */
export class Agent {
  state = AgentState.IDLE;
  deadlineMs = NEVER;
  sinceS = 0;
  readonly machines: Machines;
  startedMs = 0;
  nowMs = 0;
  wallS = 0;
  /** True while the attempt under way is not followed by another. */
  private isLast = false;
  private readonly link: Link;
  private readonly traffic: Traffic;
  private readonly credential: Credential;
  private readonly identity: Identity;
  private readonly connecting: Waiters;
  private readonly disconnecting: Waiters;

  /**
   * @param boot names this run of the process in message ids
   * @param origin what the world knows of this device beside its settings
   */
  constructor(
    private readonly effects: Effects,
    writer: Writer,
    public settings: Settings,
    prng: Prng,
    boot: string,
    origin: Origin,
    store: Store,
  ) {
    this.machines = new Machines(effects, writer, settings, prng, boot, origin, store);
    this.identity = this.machines.identity;
    this.settings = { ...settings, endpoint: this.identity.settled };
    this.link = this.machines.link;
    this.traffic = this.machines.traffic;
    this.credential = this.machines.credential;
    this.connecting = new Waiters(effects);
    this.disconnecting = new Waiters(effects);
  }

  /** The moment at which the events that follow happen. */
  at(nowMs: number, wallS: number): void {
    this.nowMs = nowMs;
    this.wallS = wallS;
    this.identity.at(nowMs, wallS);
  }

  /** The process is ready. @param machine names this run of the machine */
  start(machine: string): void {
    this.startedMs = this.nowMs;
    this.sinceS = this.wallS;
    this.machines.start(machine, this.nowMs, this.wallS);
    if (!this.settings.data.autoOnStartup) this.machines.recovery.onIdle();
    else if (!this.machines.keeper.schedule.isOn) this.attempt();
  }

  /** New settings; those of the endpoint take effect at the next start of the process. */
  onSettings(settings: Settings): void {
    const { data } = this.settings;
    const { schedule } = this.machines.keeper;
    const wasScheduled = schedule.isOn;
    this.settings = joined(this.settings, settings);
    this.machines.configure(this.settings, this.nowMs, this.wallS);
    const after = settings.data.autoOnStartup;
    if (this.state >= AgentState.STOPPING) return;
    if (!after && data.autoOnStartup) this.beManual();
    const isHeld = this.state === AgentState.HELD || this.state === AgentState.HOLDING;
    const isFreed = wasScheduled && !schedule.isOn && !isHeld;
    if (after && (isFreed || !data.autoOnStartup)) this.connect(-1);
    else if (isHeld) schedule.onHeld();
  }

  /** Connect; client (-1: nobody) is told how it went. False when that is refused. */
  connect(client: number): boolean {
    this.isLast = false;
    this.machines.keeper.schedule.onAsked(this.nowMs);
    switch (this.state) {
      case AgentState.IDLE:
      case AgentState.HELD:
      case AgentState.WAITING:
        this.connecting.add(client);
        this.attempt();
        return true;
      case AgentState.HOLDING:
      case AgentState.PAUSING:
        this.connecting.add(client);
        this.disconnecting.tell(false, "connecting again, as asked since");
        this.enter(AgentState.RENEWING, this.deadlineMs);
        return true;
      case AgentState.PROVISIONING:
      case AgentState.SIGNING:
      case AgentState.LINKING:
      case AgentState.RENEWING:
        this.connecting.add(client);
        return true;
      case AgentState.ONLINE:
        if (client >= 0) this.effects.reply(client, true, "already connected");
        return true;
      case AgentState.STOPPING:
      case AgentState.STOPPED:
        return false;
      default:
        return unreachable(this.state);
    }
  }

  /** Disconnect and stay so until told otherwise or restarted. False when that is refused. */
  disconnect(client: number): boolean {
    if (this.state >= AgentState.STOPPING) return false;
    this.disconnecting.add(client);
    this.connecting.tell(false, "disconnected by an operator");
    if (this.link.isDown) this.hold();
    else if (this.state !== AgentState.HOLDING) this.quiesce(AgentState.HOLDING);
    return true;
  }

  /** The process shall end: gives messages their time, disconnects, exits. */
  stop(): void {
    if (this.state >= AgentState.STOPPING) return;
    this.effects.log(Level.NOTICE, "stopping");
    this.machines.telemetry.stop();
    this.machines.keeper.onHeld(this.nowMs);
    if (this.link.isDown) this.finish();
    else this.quiesce(AgentState.STOPPING);
  }

  onClosed(cause: Cause, detail: string): void {
    const wasDown = this.link.isDown;
    this.link.onClosed(cause, detail, this.nowMs);
    if (!wasDown) this.onLinkDown();
  }

  /** One packet from the hub. */
  onPacket(reader: Reader): void {
    switch (this.link.state) {
      case LinkState.GREETING:
        this.link.onConnack(reader.returnCode, reader.sessionPresent, this.nowMs);
        if (this.link.isUp) this.onLinkUp();
        else this.onLinkDown();
        return;
      case LinkState.UP: {
        const cause = this.traffic.onPacket(reader, this.nowMs);
        if (cause !== Cause.NONE) this.fail(cause, "");
        return;
      }
      case LinkState.CLOSING:
        this.traffic.onLastPacket(reader);
        return;
      default:
        this.machines.counters.stray++;
    }
  }

  /** The hub sent what MQTT forbids, or more than fits. */
  onRefusedPacket(tooLong: boolean, text: string): void {
    this.fail(tooLong ? Cause.PACKET_TOO_LONG : Cause.PROTOCOL_VIOLATION, text);
  }

  onSigned(signatureBase64: string): void {
    if (!this.credential.onSigned(signatureBase64)) return;
    if (this.state === AgentState.SIGNING) this.attempt();
    else if (this.state === AgentState.ONLINE) {
      this.effects.log(Level.INFO, "token renewed: connecting again with it");
      this.quiesce(AgentState.RENEWING);
    }
  }

  onSignFailed(cause: Cause, detail: string): void {
    if (!this.credential.onSignFailed()) return;
    if (this.state === AgentState.SIGNING) {
      this.retry(undialled(cause, detail));
    } else if (this.state === AgentState.ONLINE) {
      this.machines.recovery.onNotRenewed(detail);
      this.enter(AgentState.ONLINE, this.nowMs + SIGN_MS);
    }
  }

  /** The hub's HTTPS side answered a probe. */
  onProbed(probed: Probed): void {
    this.machines.recovery.onProbed(probed, this.nowMs, this.wallS);
    if (probed.status !== 404) return;
    this.identity.refusals.onUnknown();
    if (this.state === AgentState.WAITING && this.identity.isDue) this.attempt();
  }

  /** What an event at the TPM or at DPS came to. */
  onIdentity(ended: Ended): void {
    const { signature, problem, provision } = this.identity;
    switch (ended) {
      case Ended.NOTHING:
        return;
      case Ended.SIGNED:
        return this.onSigned(signature);
      case Ended.UNSIGNED:
        return this.onSignFailed(Cause.SIGN_FAILED, problem);
      case Ended.REGISTERED:
        this.settings = { ...this.settings, endpoint: this.identity.settled };
        this.machines.onRegistered(this.nowMs, this.wallS);
        return this.attempt();
      case Ended.UNREGISTERED:
        return this.retry(undialled(provision.cause, provision.problem));
      default:
        unreachable(ended);
    }
  }

  /** Time has come to {@link nextMs}. */
  onDeadline(): void {
    const { nowMs, machines, credential } = this;
    machines.onDeadline(nowMs, this.wallS);
    if (!this.link.isDown) {
      this.link.onDeadline(nowMs);
      if (this.link.isDown) this.onLinkDown();
    }
    if (this.link.isUp) {
      const cause = this.traffic.onDeadline(nowMs);
      if (cause !== Cause.NONE) this.fail(cause, "");
    }
    if (credential.isOverdue(nowMs)) this.onSignFailed(Cause.SIGN_TIMEOUT, machines.signerFault);
    this.onIdentity(this.identity.onDeadline());
    this.onOwnDeadline();
  }

  /** What follows from any step: messages to send, a quiet link to close. */
  afterStep(): void {
    this.machines.keeper.onStep(this.nowMs);
    this.obey();
    if (!this.link.isUp) return;
    if (this.state === AgentState.ONLINE) return this.traffic.pump(this.nowMs, this.wallS);
    // What is not in flight waits in the store, for the next connection or the next start.
    if (this.machines.outbox.window.inFlight === 0) this.link.close(this.nowMs);
  }

  /** The next moment at which something is due, in monotonic ms. */
  get nextMs(): number {
    if (this.state === AgentState.STOPPED) return NEVER;
    const credentialMs = this.credential.nextMs(this.state === AgentState.ONLINE);
    return Math.min(this.deadlineMs, this.machines.nextMs, credentialMs);
  }

  private onOwnDeadline(): void {
    const isDue = this.nowMs >= this.deadlineMs;
    switch (this.state) {
      case AgentState.WAITING:
        if (isDue) this.attempt();
        return;
      case AgentState.ONLINE:
        if (isDue || this.credential.isDue(this.nowMs)) {
          this.enter(AgentState.ONLINE, NEVER);
          this.credential.request(this.nowMs, this.wallS);
        }
        return;
      case AgentState.RENEWING:
      case AgentState.HOLDING:
      case AgentState.PAUSING:
      case AgentState.STOPPING:
        if (isDue) {
          this.enter(this.state, NEVER);
          this.link.close(this.nowMs);
        }
        return;
      default:
        return;
    }
  }

  private attempt(): void {
    this.enter(this.machines.approach.advance(this.state, this.nowMs, this.wallS), NEVER);
  }

  private onLinkUp(): void {
    this.enter(AgentState.ONLINE, NEVER);
    this.isLast = false;
    const { recovery, approach } = this.machines;
    const tookMs = approach.tookMs(this.nowMs);
    const text = recovery.onUp(tookMs, this.link.sessionPresent, this.nowMs, this.wallS);
    this.connecting.tell(true, text);
    this.identity.refusals.onUp();
    this.machines.keeper.onUp(this.nowMs);
    this.traffic.onUp(this.nowMs, this.link.sessionPresent);
  }

  private fail(cause: Cause, detail: string): void {
    this.link.fail(cause, detail, this.nowMs);
    this.onLinkDown();
  }

  private onLinkDown(): void {
    const { cause, detail, fellFrom: step, upMs } = this.link;
    const unanswered = this.traffic.unanswered(this.nowMs);
    if (step >= LinkState.UP) this.traffic.onDown(cause, this.nowMs);
    this.machines.recovery.onDown(upMs);
    this.machines.keeper.onDown(upMs, this.nowMs, this.wallS);
    switch (this.state) {
      case AgentState.LINKING:
      case AgentState.ONLINE:
        return this.retry({ cause, detail, step, upMs, unanswered });
      case AgentState.RENEWING:
        return this.attempt();
      case AgentState.HOLDING:
        return this.hold();
      case AgentState.PAUSING:
        return this.enter(AgentState.IDLE, NEVER);
      case AgentState.STOPPING:
        return this.finish();
      default:
        assert(false, "a link falls only while the agent has one");
    }
  }

  /** Says what went wrong and waits for the next attempt. */
  private retry(ending: Ending): void {
    const { recovery, verdict, keeper } = this.machines;
    const capMs = this.isLast ? NEVER : this.settings.data.retryIntervalS * 1000;
    const waitMs = recovery.onFailure(ending, capMs, this.nowMs, this.wallS);
    if (verdict.isRefusal) this.identity.refusals.onRefused(this.nowMs);
    keeper.ladder.onFailure(ending.cause, verdict.text, this.nowMs, this.wallS);
    this.connecting.tell(false, `${verdict.text}; azimuth goes on trying`);
    this.enter(this.isLast ? AgentState.IDLE : AgentState.WAITING, this.nowMs + waitMs);
  }

  /** The schedule decides, where there is one. */
  private obey(): void {
    const { isOn, wants } = this.machines.keeper.schedule;
    if (!isOn) return;
    if (wants && this.state === AgentState.IDLE) this.attempt();
    if (!wants && this.state === AgentState.WAITING) this.enter(AgentState.IDLE, NEVER);
    if (!wants && this.state === AgentState.ONLINE) this.quiesce(AgentState.PAUSING);
  }

  /** Nobody wants a connection on their own account any more. */
  private beManual(): void {
    const { state, machines } = this;
    const isUnderWay = state > AgentState.WAITING && state < AgentState.ONLINE;
    this.isLast = isUnderWay && this.connecting.isEmpty;
    machines.recovery.onManual(state, this.isLast);
    if (state === AgentState.WAITING) this.enter(AgentState.IDLE, NEVER);
  }

  private quiesce(state: AgentState): void {
    this.machines.outbox.pause();
    this.enter(state, this.nowMs + this.settings.data.quiesceTimeoutS * 1000);
    if (this.link.isUp) return;
    this.link.close(this.nowMs);
    if (this.link.isDown) this.onLinkDown();
  }

  private hold(): void {
    this.identity.cancel();
    if (this.state !== AgentState.HELD) this.machines.recovery.onHeld();
    this.machines.keeper.onHeld(this.nowMs);
    this.disconnecting.tell(true, "disconnected");
    this.enter(AgentState.HELD, NEVER);
  }

  private finish(): void {
    this.identity.cancel();
    this.enter(AgentState.STOPPED, NEVER);
    this.machines.outbox.close();
    this.machines.recovery.onStopped(this.machines.outbox.count, this.settings.data.isDurable);
    this.connecting.tell(false, "azimuth is stopping");
    this.disconnecting.tell(true, "disconnected; azimuth is stopping");
    this.effects.exit(this.machines.keeper.exitCode);
  }

  private enter(state: AgentState, deadlineMs: number): void {
    if (state !== this.state) this.sinceS = this.wallS;
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
