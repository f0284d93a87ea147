// Turn: one turn of the loop: take an input, step the machines, carry out their effects, flush
// what they wrote in one go, arm the one timer.
// Neighbours: ports (real or simulated) call the `on…` methods; `core/agent` decides.
// Invariant: effects are carried out after the step that asked for them and before the next; no
// port calls back from inside a call; bytes leave in one write a turn wherever the socket allows.

import { Reader, ReadResult, Refusal, refusalText } from "./codec/reader.ts";
import { API_VERSION } from "./codec/username.ts";
import { Writer } from "./codec/writer.ts";
import { Agent } from "./core/agent.ts";
import { command } from "./core/command.ts";
import {
  type Cause,
  Effects,
  type Level,
  type MemoEvents,
  type Ports,
  type Probed,
  type SignerEvents,
  type StoreEvents,
  type TpmEvents,
  type TpmRequest,
  type UpkeepEvents,
  type UplinkEvents,
  Verb,
  type WebAnswer,
  type WebEvents,
  type WebRequest,
} from "./core/effects.ts";
import { LOGBOOK } from "./core/keeper.ts";
import { LinkState } from "./core/link.ts";
import { Rung } from "./core/logbook.ts";
import { isInTpm, type Settings } from "./core/settings.ts";
import { statusOf } from "./core/status.ts";
import { assert, unreachable } from "./kit/assert.ts";
import type { Prng } from "./kit/prng.ts";
import { assertLimits, PACKET_BYTES_MAX, TRANSMIT_BYTES, WINDOW_BYTES } from "./limits.ts";

/** What the keeper's machines ask for. */
type Tending = Verb.PLAN | Verb.FEED | Verb.REMEMBER | Verb.CLIMB | Verb.EXPOSE;

/** The agent and the world, one input at a time. */
export class Turn
  implements UplinkEvents, SignerEvents, TpmEvents, WebEvents, MemoEvents, StoreEvents, UpkeepEvents
{
  readonly agent: Agent;
  private readonly effects = new Effects();
  private readonly reader = new Reader(PACKET_BYTES_MAX);
  private readonly writer = new Writer(TRANSMIT_BYTES, WINDOW_BYTES);

  /**
   * @param roots PEM bundle that the hub's certificate must lead to
   * @param boot names this run of the process in message ids
   */
  constructor(
    private readonly ports: Ports,
    settings: Settings,
    private readonly roots: string,
    prng: Prng,
    boot: string,
  ) {
    assertLimits();
    const { memo, sha256 } = ports;
    const origin = { assignment: memo.text, sha256 };
    this.agent = new Agent(this.effects, this.writer, settings, prng, boot, origin, ports.store);
  }

  start(): void {
    this.begin();
    this.agent.start(this.ports.upkeep.machine);
    this.settle();
  }

  /** SIGTERM or SIGINT. */
  stop(): void {
    this.begin();
    this.agent.stop();
    this.settle();
  }

  /** The armed moment has come; being early does no harm. */
  onAlarm(): void {
    this.begin();
    this.agent.onDeadline();
    this.settle();
  }

  onOpened(): void {
    this.begin();
    this.agent.machines.link.onOpened(this.agent.nowMs);
    this.settle();
  }

  onSecured(): void {
    this.begin();
    this.agent.machines.link.onSecured(this.agent.nowMs);
    this.settle();
  }

  onData(chunk: Uint8Array): void {
    this.begin();
    const { reader, agent } = this;
    agent.machines.onReceived(chunk.length, agent.nowMs);
    let from = 0;
    while (from < chunk.length && agent.machines.link.isWritable) {
      from += reader.feed(chunk, from);
      this.read();
    }
    this.settle();
  }

  /** The socket takes bytes again. */
  onWritable(): void {
    this.begin();
    this.settle();
  }

  onClosed(cause: Cause, detail: string): void {
    this.begin();
    this.agent.onClosed(cause, detail);
    this.settle();
  }

  onSigned(signatureBase64: string): void {
    this.begin();
    this.agent.onIdentity(this.agent.machines.identity.onSigned(signatureBase64));
    this.settle();
  }

  onSignFailed(detail: string): void {
    this.begin();
    this.agent.onIdentity(this.agent.machines.identity.onSignFailed(detail));
    this.settle();
  }

  onProbed(probed: Probed): void {
    this.begin();
    this.agent.onProbed(probed);
    this.settle();
  }

  onTpmOpened(): void {
    this.begin();
    this.agent.onIdentity(this.agent.machines.identity.onTpmOpened());
    this.settle();
  }

  onTpmClosed(detail: string): void {
    this.begin();
    this.agent.onIdentity(this.agent.machines.identity.onTpmClosed(detail));
    this.settle();
  }

  onTpmDone(ticket: number, rc: number, handle: number, output: Uint8Array): void {
    this.begin();
    const { identity } = this.agent.machines;
    this.agent.onIdentity(identity.onTpmDone(ticket, rc, handle, output));
    this.settle();
  }

  onFetched(ticket: number, answer: WebAnswer): void {
    this.begin();
    this.agent.onIdentity(this.agent.machines.identity.onFetched(ticket, answer));
    this.settle();
  }

  onSaved(problem: string): void {
    this.begin();
    this.agent.onIdentity(this.agent.machines.identity.onSaved(problem));
    this.settle();
  }

  /** Control client `client` asks for something. */
  onCommand(client: number, words: readonly string[]): void {
    this.begin();
    command(this.agent, this.effects, client, words);
    this.settle();
  }

  /** The settings file was read again and is valid. */
  onSettings(settings: Settings): void {
    this.begin();
    this.agent.onSettings(settings);
    this.settle();
  }

  /** The answer to a sync of the store; "" or what went wrong. */
  onStoreSynced(detail: string): void {
    this.begin();
    const { agent } = this;
    agent.machines.outbox.journal.onSynced(agent.nowMs, detail);
    this.settle();
  }

  /** Watchdogs wait for signs of life from now on, the least patient for `timeoutMs`, from 1. */
  onWatched(timeoutMs: number): void {
    this.begin();
    const { agent } = this;
    agent.machines.keeper.pulse.onOpened(timeoutMs, agent.nowMs);
    this.settle();
  }

  /** A rung that the world climbs has ended; "" or what went wrong. */
  onClimbed(detail: string): void {
    this.begin();
    const { agent } = this;
    agent.machines.keeper.ladder.onClimbed(detail, agent.nowMs);
    this.settle();
  }

  private begin(): void {
    const { clock } = this.ports;
    assert(this.effects.count === 0, "no port calls back from inside a call");
    this.agent.at(clock.nowMs(), clock.wallS());
  }

  /** Reads packets until the reader wants more bytes or the link is gone. */
  private read(): void {
    const { reader, agent } = this;
    const { link, counters } = agent.machines;
    while (link.isWritable) {
      const result = reader.next();
      if (result === ReadResult.MORE) return;
      if (result === ReadResult.REFUSED) {
        const { refusal } = reader;
        agent.onRefusedPacket(refusal === Refusal.TOO_LONG, refusalText(refusal));
      } else {
        counters.packetsIn++;
        agent.onPacket(reader);
      }
      this.drain();
    }
  }

  private settle(): void {
    const { agent } = this;
    this.drain();
    // Before messages are sent: what is acknowledged gives its place free when that is written.
    agent.machines.outbox.journal.commit(agent.nowMs);
    agent.afterStep();
    this.live();
    this.drain();
    this.flush();
    this.ports.alarm.arm(agent.nextMs);
  }

  /** Gives the signs of life that are due, and the figures. */
  private live(): void {
    const { agent, effects } = this;
    const { pulse, metrics } = agent.machines.keeper;
    pulse.onTurn(agent.nowMs);
    if (metrics.isDue(agent.nowMs)) effects.expose(metrics.text(statusOf(agent)));
  }

  private flush(): void {
    const { writer, agent } = this;
    const { link } = agent.machines;
    if (!link.isWritable) return;
    const { uplink } = this.ports;
    while (writer.end > writer.start) {
      const taken = uplink.write(writer.bytes, writer.start, writer.end);
      if (taken <= 0) return;
      writer.consume(taken);
      agent.machines.onSent(taken, agent.nowMs);
      // Room again: what the window allows goes out in this turn, not with the next event.
      agent.afterStep();
      this.drain();
    }
    // MQTT-3.14.4-1: DISCONNECT is the last packet, then the connection is closed.
    if (link.state === LinkState.CLOSING) uplink.end();
  }

  /** Carries out all effects; those of a step that one of them causes are carried out too. */
  private drain(): void {
    const { effects } = this;
    for (let slot = 0; slot < effects.count; slot++) {
      this.carryOut(effects.verbs[slot]!, effects.numbers[slot]!, effects.flags[slot]!, slot);
    }
    effects.count = 0;
  }

  private carryOut(verb: Verb, number: number, flag: number, slot: number): void {
    const { ports, agent } = this;
    const text = this.effects.texts[slot]!;
    const { endpoint } = agent.settings;
    switch (verb) {
      case Verb.OPEN:
        this.reader.reset();
        return ports.uplink.open(agent.machines.passage.target(endpoint.host, this.roots));
      case Verb.ABORT:
        return ports.uplink.abort();
      case Verb.SIGN:
        if (isInTpm(endpoint)) return agent.machines.identity.sign(text);
        return ports.signer.sign(text);
      case Verb.PROBE: {
        const { host, httpsPort, deviceId } = endpoint;
        const device = encodeURIComponent(deviceId);
        const path = `/devices/${device}/messages/devicebound/0?api-version=${API_VERSION}`;
        return ports.probe.probe(host, httpsPort, path, text, this.roots);
      }
      case Verb.DRIVE: {
        const fault = ports.pins.drive(number, flag === 1);
        return agent.machines.onDriven(number, flag === 1, fault);
      }
      case Verb.LOG:
        return ports.log.write(number as Level, text);
      case Verb.REPLY:
        return ports.control.reply(number, flag === 1, text);
      case Verb.RELOAD:
        return ports.reload(number);
      case Verb.EXIT:
        return ports.exit(number);
      case Verb.PERFORM:
        return ports.tpm.perform(number, this.effects.take(slot) as TpmRequest);
      case Verb.SWEEP:
        return ports.tpm.flushAll(number);
      case Verb.FETCH:
        return ports.web.ask(number, this.effects.take(slot) as WebRequest, this.roots);
      case Verb.SAVE:
        return ports.memo.save(text);
      default:
        return this.tend(verb, number, flag, text);
    }
  }

  private tend(verb: Tending, number: number, flag: number, text: string): void {
    const { agent } = this;
    const { upkeep } = this.ports;
    const { nowMs, wallS } = agent;
    const { schedule, ladder } = agent.machines.keeper;
    switch (verb) {
      case Verb.PLAN:
        return schedule.onPlanned(upkeep.nextS(wallS), nowMs, wallS);
      case Verb.FEED:
        return upkeep.feed(flag === 1);
      case Verb.REMEMBER: {
        const { isDurable } = agent.settings.data;
        const isKept = isDurable && agent.machines.outbox.journal.put(LOGBOOK, text);
        return ladder.onRemembered(number, isKept, nowMs);
      }
      case Verb.CLIMB:
        return this.climb(number as Rung);
      case Verb.EXPOSE:
        return upkeep.expose(text);
      default:
        unreachable(verb);
    }
  }

  private climb(rung: Rung): void {
    const { agent } = this;
    const { upkeep } = this.ports;
    const { keeper, identity } = agent.machines;
    switch (rung) {
      case Rung.REFRESH:
        upkeep.refresh();
        return keeper.ladder.onClimbed("", agent.nowMs);
      case Rung.PROVISION:
        identity.refusals.onUnknown();
        return keeper.ladder.onClimbed("", agent.nowMs);
      case Rung.RESTART:
        return agent.stop();
      case Rung.HOOK:
        return upkeep.hook(agent.settings.recovery.hook);
      case Rung.REBOOT:
        keeper.pulse.onReboot(agent.nowMs);
        return upkeep.reboot();
      default:
        unreachable(rung);
    }
  }
}
