// Conformance: `bun test/conformance/main.ts [TEXT]` holds local Azure and the agent against other
// people's software; TEXT runs only the cases whose group and name contain it.
// Neighbours: `group.ts` lists the groups; `report` prints. Packages are installed if absent.
// Invariant: the last line is `N passed, N failed`; exit 0 only when nothing failed.

import { installed } from "./install.ts";
import { Report } from "./report.ts";

const words = process.argv.slice(2);
if (words.length > 1 || words[0]?.startsWith("-")) {
  console.error("usage: bun test/conformance/main.ts [TEXT]");
  process.exit(2);
}
const missing = installed();
if (missing !== "") {
  console.error(missing);
  process.exit(1);
}
const report = new Report(words[0]);
const { runGroups } = await import("./group.ts");
await runGroups(report);
console.log(`${report.passed} passed, ${report.failed} failed`);
process.exit(report.failed === 0 && report.passed > 0 ? 0 : 1);
