// Tenant: a store in a process of its own, whose disk misbehaves:
//   bun test/port/tenant.ts SCENARIO FOLDER
// Neighbours: `store.test.ts` starts it under `test/native/cut.c`.
// Invariant: prints one line of JSON in the end: what was accepted, refused, found and said.

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Depot } from "./depot.ts";

const [scenario = "", folder = "", full = ""] = process.argv.slice(2);
const path = join(folder, "queue.db");

/** Full while it writes, and free again. */
async function fill(): Promise<Depot> {
  const depot = new Depot(path);
  depot.append("before");
  await depot.settle();
  writeFileSync(full, "");
  depot.append("lost");
  depot.journal.ledger.release(depot.journal.ledger.load(7, 0, 1)[0]!);
  await depot.settle();
  rmSync(full);
  depot.append("after");
  await depot.settle();
  await depot.settle();
  return depot;
}

/** One sync after the opening fails, whichever the library was told. */
async function fail(): Promise<Depot> {
  const depot = new Depot(path, { journalBytesFill: 20_000 });
  for (let turn = 0; turn < 12; turn++) {
    depot.append(`${turn} ${"x".repeat(300)}`);
    await depot.settle();
  }
  return depot;
}

/** How many syncs were asked for between opening and closing. */
async function count(): Promise<Depot> {
  const depot = new Depot(path, { journalBytesFill: 30_000 });
  let asked = 0;
  for (const name of ["sync", "syncFilled", "syncEmptied"] as const) {
    const call = depot.store[name].bind(depot.store);
    depot.store[name] = () => {
      asked++;
      call();
    };
  }
  writeFileSync(join(folder, "opened"), "");
  for (let turn = 0; turn < 60; turn++) {
    depot.append("x".repeat(300));
    await depot.settle();
    for (const message of depot.journal.ledger.load(7, 0, 1)) depot.journal.ledger.release(message);
  }
  writeFileSync(join(folder, "closing"), "");
  depot.lines.push(`asked ${asked}`);
  return depot;
}

const depot = await { fill, fail, count }[scenario as "fill"]();
const { accepted, refused, lines } = depot;
const texts = depot.texts().map((text) => text.trim().split(" ")[0]);
depot.journal.close();
const again = new Depot(path);
const found = again.texts().map((text) => text.trim().split(" ")[0]);
again.journal.close();
console.log(JSON.stringify({ accepted, refused, lines, texts, found }));
