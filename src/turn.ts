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
  type UplinkEvents,
  Verb,
  type WebAnswer,
  type WebEvents,
  type WebRequest,
} from "./core/effects.ts";
import { LinkState } from "./core/link.ts";
import { isInTpm, type Settings } from "./core/settings.ts";
import { assert } from "./kit/assert.ts";
import type { Prng } from "./kit/prng.ts";
import { assertLimits, PACKET_BYTES_MAX, TRANSMIT_BYTES, WINDOW_BYTES } from "./limits.ts";

/** The agent and the world, one input at a time. */
export class Turn
  implements UplinkEvents, SignerEvents, TpmEvents, WebEvents, MemoEvents, StoreEvents
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
    this.agent.start();
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
    this.drain();
    this.flush();
    this.ports.alarm.arm(agent.nextMs);
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
    }
  }
}
