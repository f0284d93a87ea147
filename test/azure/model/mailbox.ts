/**
 * The cloud-to-device queue of one device: 50 deep, with locks, expiry and redelivery.
 * Neighbours: `mail.ts` is what it holds; `subscription.ts`, `admission.ts` and the REST side ask
 * it to deliver. Invariant: order of queueing is order of delivery; acknowledgements come in
 * delivery order.
 */
import type { Connection } from "./connection.ts";
import type { Context } from "./context.ts";
import type { Device } from "./device.ts";
import { HubCode, ServiceError } from "./errors.ts";
import type { Bag, MailState } from "./events.ts";
import type { FeedbackStatus } from "./feedback.ts";
import { demandTopic, feedbackOf, type Mail, mailTopic, makeMail, Place } from "./mail.ts";
import type { JsonObject } from "./merge.ts";
import { Filter } from "./session.ts";
import { randomUuid } from "./world.ts";

const FEEDBACK: Partial<Record<MailState, FeedbackStatus>> = {
  completed: "Success",
  expired: "Expired",
  exceeded: "DeliveryCountExceeded",
  rejected: "Rejected",
  purged: "Purged",
};

/** One PUBLISH that waits for its PUBACK. */
interface Flight {
  identifier: number;
  mail: Mail;
}

/** Messages for one device. */
export class Mailbox {
  private mails: Mail[] = [];
  /** In delivery order. */
  private flights: Flight[] = [];
  private sequence = 0;

  constructor(private readonly device: Device) {}

  get length(): number {
    return this.mails.length;
  }

  /** Takes a message from a service and delivers it when possible; throws 400, 403 or 413. */
  add(context: Context, body: Uint8Array, bag: Bag): Mail {
    const limits = context.options.limits;
    if (this.mails.length >= limits.mailboxMax) {
      const text = `device ${this.device.id} has ${this.mails.length} messages waiting`;
      throw new ServiceError(HubCode.DeviceMaximumQueueDepthExceeded, text);
    }
    const mail = makeMail(this.sequence + 1, body, bag, context.world, limits);
    demandTopic(mail, this.device.id, context.options.rawDollar);
    this.sequence++;
    this.mails.push(mail);
    this.tell(context, mail, "queued");
    mail.expiryEntry = context.agenda.at(mail.expiryMs, () => this.onExpiry(context, mail));
    this.deliver(context);
    return mail;
  }

  /** Publishes what waits, if the device is connected and subscribed. */
  deliver(context: Context): void {
    const connection = this.device.connection;
    const qos = this.device.session?.qos(Filter.Mail) ?? -1;
    if (connection === undefined || qos < 0) return;
    for (const mail of [...this.mails]) {
      if (mail.place === Place.Queue) this.publish(context, connection, mail, qos);
    }
  }

  /** A PUBACK arrived; the text is why the connection must close, `''` when it need not. */
  acknowledge(context: Context, identifier: number): string {
    const index = this.flights.findIndex((flight) => flight.identifier === identifier);
    if (index < 0) return "";
    if (index > 0 && context.options.strictAckOrder) {
      const expected = this.flights[0]!.identifier;
      return `PUBACK ${identifier} out of order, ${expected} was due [MQTT-4.6.0-2]`;
    }
    const [flight] = this.flights.splice(index, 1);
    const mail = flight!.mail;
    if (mail.place !== Place.Done) this.end(context, mail, "completed");
    return "";
  }

  /** The connection ended: what was in flight waits again, and keeps its identifier or not. */
  release(context: Context, keepsIdentifiers: boolean): void {
    this.flights = [];
    for (const mail of [...this.mails]) {
      if (mail.place === Place.Flight) this.requeue(context, mail);
      if (!keepsIdentifiers) mail.identifier = 0;
    }
  }

  /** Drops everything: clean session 1, or the device is deleted. */
  purge(context: Context): void {
    this.flights = [];
    for (const mail of [...this.mails]) this.end(context, mail, "purged");
  }

  /** REST: locks the oldest waiting message, undefined when there is none. */
  receive(context: Context): Mail | undefined {
    const mail = this.mails.find((item) => item.place === Place.Queue);
    if (mail === undefined) return undefined;
    this.hold(context, mail, Place.Lock);
    mail.lock = randomUuid(context.world);
    return mail;
  }

  /** REST: ends a lock; throws 412 when the token is none of a locked message. */
  settle(context: Context, lock: string, outcome: "completed" | "rejected" | "requeued"): void {
    const mail = this.mails.find((item) => item.place === Place.Lock && item.lock === lock);
    if (mail === undefined) {
      throw new ServiceError(
        HubCode.DeviceMessageLockLost,
        "the lock token is not, or no more, held",
      );
    }
    if (outcome !== "requeued") this.end(context, mail, outcome);
    else this.requeue(context, mail);
    this.deliver(context);
  }

  /** For the state page. */
  list(): JsonObject[] {
    return this.mails.map((mail) => ({
      sequence: mail.sequence,
      messageId: mail.messageId,
      place: Place[mail.place],
      deliveries: mail.deliveries,
    }));
  }

  private publish(context: Context, connection: Connection, mail: Mail, qos: number): void {
    const topic = mailTopic(mail, this.device.id, context.options.rawDollar);
    const copies = context.faults.fires("duplicate-c2d", this.device.id) === undefined ? 1 : 2;
    if (qos === 0) {
      for (let copy = 0; copy < copies; copy++) this.send(connection, topic, mail, 0);
      mail.deliveries++;
      this.tell(context, mail, "delivered");
      this.end(context, mail, "completed");
      return;
    }
    const isAgain = mail.identifier !== 0;
    if (!isAgain) mail.identifier = this.freeIdentifier();
    this.send(connection, topic, mail, mail.identifier, isAgain);
    if (!this.flights.some((flight) => flight.mail === mail)) {
      this.flights.push({ identifier: mail.identifier, mail });
    }
    if (copies > 1) {
      const identifier = this.freeIdentifier();
      this.send(connection, topic, mail, identifier);
      this.flights.push({ identifier, mail });
    }
    this.hold(context, mail, Place.Flight);
  }

  private send(link: Connection, topic: string, mail: Mail, identifier: number, dup = false): void {
    const qos = identifier === 0 ? 0 : 1;
    const head = { cmd: "publish", retain: false, dup, topic, payload: mail.body } as const;
    link.send(qos === 0 ? { ...head, qos } : { ...head, qos, messageId: identifier });
  }

  private freeIdentifier(): number {
    return this.device.session!.nextIdentifier(
      (identifier) =>
        this.flights.some((flight) => flight.identifier === identifier) ||
        this.mails.some((mail) => mail.identifier === identifier),
    );
  }

  /** A delivery that must be confirmed within the lock time. */
  private hold(context: Context, mail: Mail, place: Place): void {
    mail.place = place;
    mail.deliveries++;
    this.tell(context, mail, "delivered");
    context.agenda.cancel(mail.lockEntry);
    const dueMs = context.nowMs() + context.options.limits.lockS * 1000;
    mail.lockEntry = context.agenda.at(dueMs, () => {
      this.requeue(context, mail);
      this.deliver(context);
    });
  }

  private requeue(context: Context, mail: Mail): void {
    context.agenda.cancel(mail.lockEntry);
    mail.lock = "";
    mail.place = Place.Queue;
    if (mail.expiryMs <= context.nowMs()) this.end(context, mail, "expired");
    else if (mail.deliveries >= context.options.limits.deliveriesMax) {
      this.end(context, mail, "exceeded");
    } else this.tell(context, mail, "requeued");
  }

  private onExpiry(context: Context, mail: Mail): void {
    // A message in someone's hands may still be completed until its lock ends.
    if (mail.place === Place.Queue) this.end(context, mail, "expired");
  }

  private end(context: Context, mail: Mail, state: MailState): void {
    context.agenda.cancel(mail.lockEntry);
    context.agenda.cancel(mail.expiryEntry);
    mail.place = Place.Done;
    this.mails.splice(this.mails.indexOf(mail), 1);
    const status = FEEDBACK[state];
    if (status !== undefined) {
      const { id, generationId } = this.device;
      context.feedback.add(mail.ack, status, feedbackOf(mail, id, generationId));
    }
    this.tell(context, mail, state);
  }

  private tell(context: Context, mail: Mail, state: MailState): void {
    context.emit({
      type: "c2d",
      at: context.at(),
      deviceId: this.device.id,
      state,
      messageId: mail.messageId,
      sequence: mail.sequence,
      deliveries: mail.deliveries,
    });
  }
}
