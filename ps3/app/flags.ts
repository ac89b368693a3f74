// Commands and their flags as tables: each flag is read from its raw text, by its declared type, so that
// `007` stays `007` where a text is wanted and is refused by name where it does not fit.
import { parseArgs } from 'node:util';
import { EngineError } from '../../engine/index.ts';
import { type OpenTransport, SINGLE } from '../ranks/transport.ts';

/** Exit code of a command that a signal ended. */
export const INTERRUPTED = 130;

/** A command line that does not say what it must. */
export class UsageError extends EngineError {
  constructor(message: string) {
    super('usage', message);
  }
}

/** One flag of a command. */
export interface Flag<T> {
  readonly help: string;
  /** Placeholder of the value in the help, such as `<dir>`; a switch has none. */
  readonly value?: string;
  /** What a value must be, for the message. */
  readonly rule: string;
  /** Whether it may be given several times; the values are lists, which are joined. */
  readonly isRepeated?: boolean;
  /** undefined for a text that is no such value. */
  read(text: string): T | undefined;
}

type Flags = Readonly<Record<string, Flag<unknown>>>;

/** What was given, by the flags' names. */
export type Values<F extends Flags> = { readonly [K in keyof F]?: F[K] extends Flag<infer T> ? T : never };

/** Any text but the empty one, unchanged. */
export function text(value: string, help: string): Flag<string> {
  return { help, value, rule: 'a text that is not empty', read: (text) => text || undefined };
}

/** A whole number in decimal notation. */
export function whole(help: string, low = 1): Flag<number> {
  const read = (text: string): number | undefined => {
    const number = numberOf(text);
    return Number.isSafeInteger(number) && Number(number) >= low ? number : undefined;
  };
  return { help, value: '<n>', rule: `a whole number of at least ${low}`, read };
}

/** A number within bounds. */
export function number(help: string, low: number, high: number = Number.POSITIVE_INFINITY): Flag<number> {
  const read = (text: string): number | undefined => {
    const value = numberOf(text);
    return value !== undefined && value >= low && value <= high ? value : undefined;
  };
  const rule =
    high === Number.POSITIVE_INFINITY ? `a number of at least ${low}` : `a number within ${low} to ${high}`;
  return { help, value: '<x>', rule, read };
}

/** A whole number of hundredths. */
export function percent(help: string): Flag<number> {
  const number = whole(help, 0);
  const read = (text: string): number | undefined => {
    const value = number.read(text);
    return value !== undefined && value <= 100 ? value : undefined;
  };
  return { ...number, rule: 'a whole number within 0 and 100', read };
}

/** One of a few names. */
export function oneOf<Name extends string>(names: readonly Name[], help: string): Flag<Name> {
  const read = (text: string): Name | undefined => names.find((name) => name === text);
  return { help, value: '<name>', rule: `one of ${names.join(', ')}`, read };
}

/** Numbers with commas between, as many as the placeholder names. */
export function numbers(value: string, help: string): Flag<readonly number[]> {
  const count = value.split(',').length;
  const read = (text: string): number[] | undefined => {
    const list = text.split(',').map(numberOf);
    return list.length === count && list.every((number) => number !== undefined) ? list : undefined;
  };
  return { help, value, rule: `${count} numbers with commas between`, read };
}

/** Texts, one each time that the flag is given. */
export function texts(value: string, help: string): Flag<readonly string[]> {
  const one = text(value, help);
  const read = (word: string): string[] | undefined => (one.read(word) === undefined ? undefined : [word]);
  return { ...one, isRepeated: true, read };
}

/** A flag without a value. */
export function on(help: string): Flag<true> {
  return { help, rule: 'without a value', read: () => true };
}

function numberOf(text: string): number | undefined {
  const isDecimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
  return isDecimal && Number.isFinite(Number(text)) ? Number(text) : undefined;
}

/** A subcommand, its flags and its action. */
export interface CommandSpec<F extends Flags> {
  readonly name: string;
  /** What it takes besides flags, for the usage line: '', `<run>` for one, `<source> <folder>` for two, `[file]` for one at most, `[...images]`. */
  readonly operands: string;
  readonly help: string;
  readonly flags: F;
  /** Whether several processes, the ranks of an mpirun, can share its work. */
  readonly hasRanks?: true;
  /** @returns the exit code */
  run(values: Values<F>, operands: readonly string[], transport: OpenTransport): Promise<number>;
}

/** A subcommand with the types of its flags forgotten. */
export interface Command {
  readonly name: string;
  readonly operands: string;
  readonly help: string;
  readonly flags: Flags;
  /**
   * Reads its part of the command line and runs.
   *
   * @returns the exit code
   * @throws UsageError naming the flag or operand that is wrong, or for more processes than can share its work
   */
  run(args: readonly string[], transport?: OpenTransport): Promise<number>;
}

/** Makes a command of its table. */
export function command<F extends Flags>(spec: CommandSpec<F>): Command {
  const { name, operands, help, flags } = spec;
  return {
    name,
    operands,
    help,
    flags,
    async run(args, transport = SINGLE) {
      const tokens = tokensOf(flags, args);
      if (tokens.some((token) => token.kind === 'option' && ['--help', '-h'].includes(token.rawName))) {
        if (transport.rank === 0) console.log(helpOf(this));
        return 0;
      }
      const [values, given] = read(spec, tokens);
      if (transport.size > 1 && !spec.hasRanks)
        throw new UsageError(`${name}: it must run as one process, got ${transport.size}. Leave mpirun out.`);
      return spec.run(values, given, transport);
    },
  };
}

/** Sorts words into flags, values and operands, all unchanged: parseArgs would be less strict. */
function tokensOf(flags: Flags, args: readonly string[]) {
  const types = Object.entries(flags).map(
    ([name, { value }]) => [name, { type: value ? 'string' : 'boolean' }] as const,
  );
  const options = Object.fromEntries(types);
  return parseArgs({ args: [...args], options, tokens: true, strict: false, allowPositionals: true }).tokens;
}

function read<F extends Flags>(
  { name: command, operands, flags }: CommandSpec<F>,
  tokens: ReturnType<typeof tokensOf>,
): [Values<F>, string[]] {
  const fail = (rule: string, got: string): never => {
    throw new UsageError(`${command}: ${rule}, got ${got}. See ps3 ${command} --help.`);
  };
  const values: Record<string, unknown> = {};
  const given: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') given.push(token.value);
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue } = token;
    if (!Object.hasOwn(flags, name) || rawName !== `--${name}`)
      fail(`an option must be one of ${Object.keys(flags).map(dashes).join(', ') || 'none'}`, rawName);
    const { rule, read, value: placeholder, isRepeated } = flags[name];
    if (Object.hasOwn(values, name) && !isRepeated) fail(`${rawName} must be given once`, 'it again');
    // What looks like an option is one that lost its place, not a value; `--prompt=--x` says that it is
    // meant.
    const isMissing = placeholder && (value === undefined || (!inlineValue && value.startsWith('--')));
    if (isMissing) fail(`${rawName} must be followed by ${rule}`, value ?? 'nothing');
    if (!placeholder && value !== undefined) fail(`${rawName} must be given ${rule}`, value);
    const before = values[name];
    const taken = read(value ?? '') ?? fail(`${rawName} must be ${rule}`, value || 'an empty text');
    values[name] = Array.isArray(before) && Array.isArray(taken) ? [...before, ...taken] : taken;
  }
  if (operands === '' && given.length > 0) fail('there must be nothing but options', given[0]);
  const wanted = operands.startsWith('<') ? operands.split(' ').length : given.length;
  if (given.length !== wanted)
    fail(`there must be ${wanted === 1 ? 'one ' : ''}${operands}`, given.join(', ') || 'none');
  if (/^\[\w/.test(operands) && given.length > 1)
    fail(`there must be one ${operands} at most`, given.join(', '));
  return [values as Values<F>, given];
}

const dashes = (name: string): string => `--${name}`;

/** Lines of two columns. */
export function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}

const usage = ({ name, operands }: Command): string => (operands ? `${name} ${operands}` : name);

/** What `ps3 --help` prints. */
export function helpOfAll(commands: readonly Command[]): string {
  const rows = commands.map((command) => [usage(command), command.help] as const);
  return `Usage:
  $ ps3 <command> [options]

Commands:
${columns(rows)}
Options:
${columns([
  ['-h, --help', 'Print this, or with a command what it takes'],
  ['-v, --version', 'Print the version'],
])}`;
}

/** What `ps3 COMMAND --help` prints. */
export function helpOf(command: Command): string {
  const rows = Object.entries(command.flags).map(
    ([name, { value, help }]) => [value ? `--${name} ${value}` : `--${name}`, help] as const,
  );
  return `${command.help}.

Usage:
  $ ps3 ${usage(command)} [options]

Options:
${columns([...rows, ['-h, --help', 'Print this']])}`;
}
