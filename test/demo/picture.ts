// Picture: the gateway with its lamp and its TPM, the cable, hub and DPS, in five or six lines.
// Neighbours: `screen` puts it at its top.
// Invariant: pure; what it shows also stands there in words, for those who see no colours.

import type { Status } from "../../src/core/status.ts";
import { lengthOf } from "../../src/kit/time.ts";
import type { Facts } from "./facts.ts";
import type { Glyphs } from "./glyphs.ts";
import { Light, lightWord } from "./lamp.ts";
import { fit, type Line, type Span, Style, span } from "./paint.ts";

/** Inner widths of the boxes. */
const GATEWAY_COLUMNS = 34;
const HUB_COLUMNS = 25;
/** Room for the agent's words; one more column keeps them apart from the lamp. */
const WORDS_COLUMNS = 19;
const CABLE_COLUMNS_MAX = 32;

/** Five lines, six where there is a TPM; at most `wide` columns. */
export function picture(facts: Facts, wide: number, glyphs: Glyphs): Line[] {
  const room = wide - GATEWAY_COLUMNS - HUB_COLUMNS - 5;
  const columns = Math.max(8, Math.min(room, CABLE_COLUMNS_MAX));
  const isTpm = facts.endpoint === "tpm";
  const own = [...gateway(facts, glyphs), ...(isTpm ? [chip(facts)] : [])];
  const theirs = [...hub(facts), ...(isTpm ? [services(facts)] : [])];
  const left = box(facts.deviceId, own, GATEWAY_COLUMNS, glyphs);
  const right = box("local Azure", theirs, HUB_COLUMNS, glyphs);
  const between = cable(facts, columns, glyphs);
  return left.map((line, row) => {
    const wire = between[row] ?? [span(" ".repeat(columns))];
    return [span(" "), ...line, ...wire, ...right[row]!];
  });
}

function box(name: string, lines: readonly Line[], columns: number, glyphs: Glyphs): Line[] {
  const { across, down } = glyphs;
  const dashes = across.repeat(columns - name.length - 3);
  return [
    [
      span(glyphs.topLeft + across),
      span(` ${name} `, Style.STRONG),
      span(dashes + glyphs.topRight),
    ],
    ...lines.map((line) => [span(down), ...fit(line, columns, glyphs.more), span(down)]),
    [span(glyphs.bottomLeft + across.repeat(columns) + glyphs.bottomRight)],
  ];
}

function gateway({ agent, lamp }: Facts, glyphs: Glyphs): Line[] {
  const words = agentWords(agent).map((line) => fit(line, WORDS_COLUMNS, glyphs.more));
  return lampLines(lamp, glyphs).map((line, row) => [...words[row]!, span(" "), ...line]);
}

function agentWords(agent: Status | undefined): Line[] {
  if (agent === undefined) return [[span(" no agent yet", Style.FAINT)], [], []];
  const { state, queue, nextAttemptMs } = agent;
  const isGood = state === "online";
  const { waiting, inFlight } = queue;
  const flight = inFlight === 0 ? "" : `, ${inFlight} sent`;
  const next = nextAttemptMs === null ? "" : ` again in ${lengthOf(nextAttemptMs)}`;
  return [
    [span(" agent "), span(state, isGood ? Style.GOOD : Style.BAD)],
    [span(` ${waiting} waiting${flight}`, (waiting ?? 0) > 0 ? Style.STRONG : Style.PLAIN)],
    [span(next)],
  ];
}

/** The TPM as `azimuth tpm` found it, then as the agent that uses it says. */
function chip({ chip, agent }: Facts): Line {
  const tpm = agent?.tpm ?? null;
  if (tpm === null) return [span(chip === undefined ? " no TPM yet" : " TPM blank", Style.FAINT)];
  if (tpm.fault !== null) return [span(" TPM "), span(tpm.fault, Style.BAD)];
  const dps = agent?.dps ?? null;
  if (dps !== null && dps.registration !== "off") {
    return [span(` TPM registering: ${dps.registration}`)];
  }
  if (dps === null || dps.registeredAt === null) return [span(" TPM without a device key")];
  const at = dps.registeredAt.slice(11, 19);
  return [span(" TPM "), span("signs", Style.GOOD), span(`, registered ${at}`)];
}

function lampLines(lamp: Light, glyphs: Glyphs): Line[] {
  const isLit = lamp === Light.LIT;
  const bulb = isLit ? `-${glyphs.lit}-` : ` ${glyphs.dark} `;
  const style = isLit ? Style.LAMP : Style.FAINT;
  return [
    [span(isLit ? "     \\|/" : "", style)],
    [span("LED1 "), span(`${bulb} ${lamp === Light.NONE ? "" : lightWord(lamp)}`, style)],
    [span(isLit ? "     /|\\" : "", style)],
  ];
}

/** DPS as its events and its service side tell. */
function services({ idScope, enrollment, ledger }: Facts): Line {
  const { registrations } = ledger;
  if (idScope === "") return [];
  if (registrations > 1) return [span(` DPS registered it ${registrations}x`)];
  if (registrations === 1) return [span(" DPS registered it once")];
  return [span(enrollment === undefined ? " DPS nothing enrolled" : " DPS TPM enrolled")];
}

function hub({ ledger, hubPort, deviceId, isEnabled }: Facts): Line[] {
  if (hubPort === 0) return [[span(" not started yet", Style.FAINT)], [], []];
  if (!isEnabled) return [[span(" hub without a device", Style.FAINT)], [], []];
  const { isConnected, count, repeated } = ledger;
  const words = isConnected ? "connected" : "not connected";
  return [
    [span(` ${deviceId} `), span(words, isConnected ? Style.GOOD : Style.BAD)],
    [span(` ${count} message${count === 1 ? "" : "s"}`)],
    [span(` ${repeated} seen twice`)],
  ];
}

function cable(facts: Facts, columns: number, glyphs: Glyphs): Span[][] {
  const blank = [span(" ".repeat(columns))];
  const middle = facts.isPlugged ? whole(columns, glyphs) : cut(columns, glyphs);
  const isNew = facts.hubPort === 0;
  const label = centred(cableWords(facts), columns);
  const style = facts.isPlugged || isNew ? Style.FAINT : Style.BAD;
  return [blank, [span(label, style)], isNew ? blank : middle, blank, blank];
}

function cableWords({ hubPort, isPlugged, ledger }: Facts): string {
  if (hubPort === 0) return "";
  if (!isPlugged) return "pulled";
  return ledger.isConnected ? "MQTT over TLS" : "plugged";
}

function whole(columns: number, glyphs: Glyphs): Span[] {
  return [span(glyphs.cable.repeat(columns))];
}

function cut(columns: number, glyphs: Glyphs): Span[] {
  const side = Math.floor(columns / 3);
  const gap = " ".repeat(columns - 2 * side - 2);
  const left = glyphs.cable.repeat(side) + glyphs.looseLeft;
  return [span(left + gap + glyphs.looseRight + glyphs.cable.repeat(side), Style.BAD)];
}

function centred(text: string, columns: number): string {
  const before = Math.max(0, Math.floor((columns - text.length) / 2));
  return text
    .padStart(text.length + before)
    .padEnd(columns)
    .slice(0, columns);
}
