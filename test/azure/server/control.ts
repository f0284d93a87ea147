/**
 * The emulator's own interface for people, scripts and tests: events, messages to devices, faults,
 * state. Neighbours: `https.ts` lets only this machine in; `history.ts` has the events.
 * Invariant: no key is ever shown here.
 */
import { decodeBag, percentDecoded } from "../model/bag.ts";
import { invalid } from "../model/errors.ts";
import type { Hub } from "../model/hub.ts";
import { bodyBytes, bodyJson, empty, json } from "./answer.ts";
import { type History, isFor } from "./history.ts";

/** Bytes of events that may wait for a reader before it is cut off. */
const BACKLOG_BYTES_MAX = 8_388_608;
/** An empty line now and then shows both sides that the stream lives, ms. */
const PULSE_MS = 15_000;

/** Events as lines of JSON: what is kept after `since`, then what comes. */
export function eventStream(history: History, since: number, deviceId: string): Response {
  const encoder = new TextEncoder();
  let stop = (): void => {};
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const kept = history.after(since, deviceId).join("");
        controller.enqueue(encoder.encode(kept === "" ? "\n" : kept));
        const unfollow = history.follow((line, of) => {
          if (!isFor(of, deviceId)) return;
          controller.enqueue(encoder.encode(line));
          if ((controller.desiredSize ?? 0) >= 0) return;
          stop();
          controller.close();
        });
        const pulse = setInterval(() => controller.enqueue(encoder.encode("\n")), PULSE_MS);
        stop = () => {
          clearInterval(pulse);
          unfollow();
        };
      },
      cancel() {
        stop();
      },
    },
    { highWaterMark: BACKLOG_BYTES_MAX, size: (chunk) => chunk?.length ?? 0 },
  );
  return new Response(stream, { headers: { "content-type": "application/x-ndjson" } });
}

async function sendMail(hub: Hub, request: Request, url: URL, id: string): Promise<Response> {
  // The bag is itself percent-encoded text, so the query is taken as it stands.
  const query = /[?&]bag=([^#]*)$/.exec(url.search)?.[1] ?? "";
  const text = query.includes("=") ? query : percentDecoded(query);
  const bag = text === null ? "bag with broken percent-encoding" : decodeBag(text);
  if (typeof bag === "string") throw invalid(bag);
  const mail = hub.sendC2d(id, await bodyBytes(request), bag);
  return json({ messageId: mail.messageId, sequence: mail.sequence });
}

/** Runs a call under `/control`, or gives undefined when there is no such call. */
export async function controlCall(
  hub: Hub,
  history: History,
  request: Request,
  url: URL,
  segments: readonly string[],
  mqttPort: number,
): Promise<Response | undefined> {
  const [, call, id = ""] = segments;
  switch (`${request.method} ${call}`) {
    case "GET events": {
      const since = Number(url.searchParams.get("since") ?? 0);
      if (!Number.isFinite(since)) throw invalid("since must be a sequence number");
      return eventStream(history, since, url.searchParams.get("device") ?? "");
    }
    case "POST c2d":
      return sendMail(hub, request, url, id);
    case "POST fault":
      return json({ id: hub.faults.add(await bodyJson(request)).id });
    case "DELETE fault": {
      if (id !== "" && !/^\d+$/.test(id)) throw invalid("a fault id is a number");
      hub.faults.clear(id === "" ? undefined : Number(id));
      return empty();
    }
    case "GET state":
      return json({
        mqttPort,
        ...hub.state(),
        lastSequence: history.last,
        followers: history.following,
      });
    default:
      return undefined;
  }
}
