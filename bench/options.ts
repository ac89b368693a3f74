// The command line of the benchmark.
import { EngineError, type Tier } from '../engine/index.ts';

/** A flag is unknown or has a value that it cannot have. */
export class UsageError extends EngineError {
  constructor(message: string) {
    super('usage', message);
  }
}

export interface SuiteOptions {
  /** Only cases that the adapter manages within seconds. */
  readonly quick: boolean;
  /** Part of an op's name, or of that and its shape; or several such, separated by |. */
  readonly filter: string | undefined;
  /** Highest tier to use; default: what the adapter offers, 2 at most. */
  readonly tier?: Tier;
  /** Time to spend on each case. */
  readonly seconds: number;
}

export interface BenchOptions extends SuiteOptions {
  /** File for the results. */
  readonly json: string | undefined;
  /** Only the cases that other libraries can do, in those too. */
  readonly peers: boolean;
  /** File with rows of a library that runs elsewhere, to be shown beneath ours. */
  readonly merge: string | undefined;
  /** Measure nothing; rewrite the README's table. */
  readonly report: boolean;
}

const TIERS: readonly Tier[] = [0, 1, 2, 3];

/** With and without a value. */
const VALUED = ['--filter', '--tier', '--json', '--seconds', '--merge'];
const BARE = ['--quick', '--peers', '--report'];
const FLAGS =
  '--quick, --filter TEXT, --tier NUMBER, --json FILE, --seconds NUMBER, --peers, --merge FILE and --report';

/** @throws UsageError */
export function parseOptions(words: readonly string[]): BenchOptions {
  const given = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const [flag, attached] = words[i].split(/=(.*)/s);
    if (BARE.includes(flag)) {
      if (attached !== undefined) throw new UsageError(`bench: ${flag} takes no value, got ${attached}.`);
      given.set(flag, '');
    } else if (VALUED.includes(flag)) {
      const value = attached ?? words[++i];
      if (!value) throw new UsageError(`bench: ${flag} must be given a value, got none.`);
      given.set(flag, value);
    } else throw new UsageError(`bench: flags must be of ${FLAGS}, got ${words[i]}.`);
  }
  const quick = given.has('--quick');
  const seconds = Number(given.get('--seconds') ?? (quick ? 0.5 : 2));
  if (!(seconds > 0 && Number.isFinite(seconds)))
    throw new UsageError(`bench: --seconds must be a number above 0, got ${given.get('--seconds')}.`);
  const tier = TIERS.find((one) => String(one) === given.get('--tier'));
  if (given.has('--tier') && tier === undefined)
    throw new UsageError(`bench: --tier must be of ${TIERS.join(', ')}, got ${given.get('--tier')}.`);
  return {
    quick,
    seconds,
    tier,
    filter: given.get('--filter'),
    json: given.get('--json'),
    peers: given.has('--peers'),
    merge: given.get('--merge'),
    report: given.has('--report'),
  };
}
