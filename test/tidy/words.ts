// Words: what must not stand in a file, as code or as text.
// Neighbours: `tokens` tells code from comments; `imports` judges what is loaded.
// Invariant: the forbidden words are put together here from halves, so that this file and its
// tests may themselves be searched for them.

import { SyntaxKind } from "typescript/unstable/ast";
import { type Finding, linesOf, type Source } from "./source.ts";
import { scan } from "./tokens.ts";

/** Rooms whose code knows no world: its inputs come in through method calls alone. */
const PURE = /^src\/((kit|codec|core|graph)\/|limits\.ts$|turn\.ts$)/;
const WORLD = new Set(
  (
    "Bun Promise Date setTimeout setInterval setImmediate queueMicrotask process console " +
    "performance globalThis crypto fetch require async await"
  ).split(" "),
);

/** Finds words of the world in the code of a pure room, comments and texts aside. */
export function checkPurity(source: Source): Finding[] {
  if (!PURE.test(source.path)) return [];
  const { tokens } = scan(source.text);
  return tokens.flatMap((token, index) => {
    const before = tokens[index - 1]?.text;
    const isMember = before === "." || before === "?.";
    const isRandom = isMember && token.text === "random" && tokens[index - 2]?.text === "Math";
    const isLoaded = token.kind === SyntaxKind.StringLiteral && /^(node|bun):/.test(token.value);
    if (!isRandom && !isLoaded && (isMember || !WORLD.has(token.text))) return [];
    const word = isRandom ? "Math.random" : token.text;
    return [{ path: source.path, line: token.line, problem: `${word} in a pure room` }];
  });
}

interface Rule {
  readonly pattern: RegExp;
  readonly problem: string;
  /** Paths where the rule holds. */
  readonly where: RegExp;
  /** Paths where it does not, each for the reason given beside it. */
  readonly except: RegExp;
}

const NOWHERE = /^$/;
const WRITTEN = /^(src|test|native|conf|\.ci)\/|^[^/]+$/;
const unfinished = `\\b(TO${"DO"}|FIX${"ME"}|X${"XX"}|HA${"CK"})\\b|not imple${"mented"}`;
const standIn = `\\b(st${"ub"}s?|place${"holder"}s?)\\b`;

const RULES: readonly Rule[] = [
  {
    pattern: new RegExp(`${unfinished}|${standIn}`),
    problem: "unfinished by its own words",
    where: /^(src|test|native|conf)\//,
    except: NOWHERE,
  },
  {
    pattern: new RegExp(
      `\\b(test|it|describe)\\.(sk${"ip"}|on${"ly"}|to${"do"}|if|failing)(If)?\\b`,
    ),
    problem: "a test that does not always run",
    where: /^test\//,
    except: NOWHERE,
  },
  {
    pattern: new RegExp(`(^|[^\\w.@-])/(ho${"me"}|ro${"ot"}|wo${"rk"}|Us${"ers"})/\\w`),
    problem: "an absolute path of one machine",
    where: WRITTEN,
    except: NOWHERE,
  },
  {
    // A lock file that names hosts ties everybody to one registry.
    pattern: /:\/\/|\bresolved\b/,
    problem: "a host in a lock or registry file",
    where: /(^|\/)(bun\.lock|bunfig\.toml|package\.json|\.npmrc)$/,
    except: NOWHERE,
  },
  {
    pattern: new RegExp(
      `regis${"try"}\\.(npm|yarn)|://[^/ "]*regis${"try"}|npm_config_regis${"try"}`,
    ),
    problem: "the host of a package registry",
    where: WRITTEN,
    except: NOWHERE,
  },
  {
    pattern: /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==|^\s*-----BEGIN [A-Z ]*PRIVATE KEY-----$/,
    problem: "something that looks like a key",
    where: WRITTEN,
    // Integrity hashes; and keys that exist to be known.
    except: /(^|\/)bun\.lock$|\/vectors?\.(test\.)?ts$/,
  },
];

/** Holds every line of a file against the rules for texts. */
export function checkTexts(source: Source): Finding[] {
  const rules = RULES.filter(({ where, except }) => {
    return where.test(source.path) && !except.test(source.path);
  });
  return linesOf(source.text).flatMap((text, index) =>
    rules
      .filter((rule) => rule.pattern.test(text))
      .map((rule) => ({ path: source.path, line: index + 1, problem: rule.problem })),
  );
}
