// The command line. Every mistake of the user ends in one sentence and exit code 2.
import { setTimeout } from 'node:timers/promises';
import { DeviceLostError, EngineError, fileErrorOf } from '../../engine/index.ts';
import { openTransport } from '../ranks/open.ts';
import { type OpenTransport, SINGLE } from '../ranks/transport.ts';
import { InterruptedError } from '../train/run.ts';
import { type Command, helpOfAll, INTERRUPTED, UsageError } from './flags.ts';
import { version } from './version.ts';

/** Commands by name. Each is read when it is asked for, since most need a part of the program alone. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./commands/train.ts')).startCommand,
  train: async () => (await import('./commands/train.ts')).trainCommand,
  eval: async () => (await import('./commands/eval.ts')).evalCommand,
  report: async () => (await import('./commands/report.ts')).reportCommand,
  compare: async () => (await import('./commands/report.ts')).compareCommand,
  encode: async () => (await import('./commands/encode.ts')).encodeCommand,
  export: async () => (await import('./commands/export.ts')).exportCommand,
  generate: async () => (await import('./commands/generate.ts')).generateCommand,
  answer: async () => (await import('./commands/answer.ts')).answerCommand,
  chat: async () => (await import('./commands/chat.ts')).chatCommand,
  verify: async () => (await import('./commands/verify.ts')).verifyCommand,
  data: async () => (await import('./commands/data.ts')).dataCommand,
  benchmark: async () => (await import('./commands/benchmark.ts')).benchmarkCommand,
  device: async () => (await import('./commands/device.ts')).deviceCommand,
};

/** Time for rank 0 to say what every rank has met. */
const LISTEN_MS = 1000;

/** Runs a command line, on every rank of an mpirun; returns the exit code. */
export async function main(argv: string[]): Promise<number> {
  let transport: OpenTransport = SINGLE;
  try {
    transport = await openTransport();
    const code = await run(argv.slice(2), transport);
    transport.close();
    return code;
  } catch (error) {
    const { rank, size } = transport;
    // A signal stops every rank after the same step. Anything else may have met one alone, for which the others wait.
    const isAgreed = error instanceof InterruptedError;
    if (rank > 0 && !isAgreed) await setTimeout(LISTEN_MS);
    const code = rank > 0 && isAgreed ? 0 : say(error, rank > 0 ? `rank ${rank} of ${size}: ` : '');
    if (isAgreed) transport.close();
    else if (size > 1) {
      if (code === undefined) console.error(error);
      transport.abort(code ?? 1);
    }
    if (code === undefined) throw error;
    return code;
  }
}

async function run([name, ...args]: readonly string[], transport: OpenTransport): Promise<number> {
  if (name !== undefined && Object.hasOwn(COMMANDS, name))
    return (await COMMANDS[name]()).run(args, transport);
  const isHelp = name === '--help' || name === '-h';
  if (name !== undefined && !isHelp && name !== '--version' && name !== '-v') {
    const names = Object.keys(COMMANDS).join(', ');
    throw new UsageError(`the command must be one of ${names}, got ${name}. See ps3 --help.`);
  }
  if (transport.rank > 0) return 0;
  const print = name === undefined ? console.error : console.log;
  const isVersion = name !== undefined && !isHelp;
  print(
    isVersion
      ? `ps3/${version()}`
      : helpOfAll(await Promise.all(Object.values(COMMANDS).map((read) => read()))),
  );
  return name === undefined ? 2 : 0;
}

/**
 * Says in one sentence why a command ends.
 *
 * @param before  stands before the sentence
 * @returns       the exit code; undefined for a fault of this program, of which the stack tells more
 */
function say(error: unknown, before: string): number | undefined {
  // What the system or the device refuses is no mistake of the command line: exit code 1.
  const refused = fileErrorOf(error);
  if (!refused && !(error instanceof EngineError)) return undefined;
  console.error(`ps3: ${before}${(refused ?? (error as EngineError)).message}`);
  if (error instanceof InterruptedError) return INTERRUPTED;
  return refused || error instanceof DeviceLostError ? 1 : 2;
}
