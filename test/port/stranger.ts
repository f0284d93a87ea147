// Stranger: another program that has the store's database open, as an operator's sqlite3 has:
//   bun test/port/stranger.ts PATH, then one line of SQL after another on stdin.
// Neighbours: `store.test.ts` starts it: locks of one process would not hold against itself.
// Invariant: each line is answered by one line of JSON: the rows, or the error's code.

import { Database } from "bun:sqlite";

const database = new Database(process.argv[2], { readwrite: true, create: false });

function answer(sql: string): unknown {
  try {
    return database.query(sql).all();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

for await (const line of console) console.log(JSON.stringify(answer(line)));
database.close();
