/**
 * Delivery feedback of cloud-to-device messages, for those whose sender asked. Neighbours:
 * `mailbox.ts` reports ends; the state page shows what is kept. Facts: IoT Hub C2D guide.
 * Invariant: bounded; the oldest record makes room.
 */
import type { JsonObject } from "./merge.ts";

const RECORDS_MAX = 200;

export type FeedbackStatus =
  | "Success"
  | "Expired"
  | "DeliveryCountExceeded"
  | "Rejected"
  | "Purged";

/** Recent feedback records. */
export class Feedback {
  private readonly records: JsonObject[] = [];

  /** `ack`: none, positive, negative or full, as the message said in `iothub-ack`. */
  add(ack: string, status: FeedbackStatus, record: JsonObject): void {
    const isWanted =
      ack === "full" ||
      (ack === "positive" && status === "Success") ||
      (ack === "negative" && status !== "Success");
    if (!isWanted) return;
    if (this.records.length >= RECORDS_MAX) this.records.shift();
    this.records.push({ ...record, statusCode: status, description: status });
  }

  /** Oldest first, in the fields of the service's feedback messages. */
  list(): readonly JsonObject[] {
    return this.records;
  }
}
