// The command line. Every mistake of the user ends in one sentence and exit code 2.
import { EngineError, fileErrorOf } from '../../engine/index.ts';
import { InterruptedError } from '../train/run.ts';
import { dataCommand } from './commands/data.ts';
import { encodeCommand } from './commands/encode.ts';
import { evalCommand } from './commands/eval.ts';
import { INTERRUPTED, startCommand, trainCommand } from './commands/train.ts';
import { verifyCommand } from './commands/verify.ts';
import { type Command, helpOfAll, UsageError } from './flags.ts';
import { version } from './version.ts';

const COMMANDS: readonly Command[] = [
  startCommand,
  trainCommand,
  evalCommand,
  encodeCommand,
  verifyCommand,
  dataCommand,
];

/** Runs a command line; returns the exit code. */
export async function main(argv: string[]): Promise<number> {
  const [name, ...args] = argv.slice(2);
  const asked = COMMANDS.find((command) => command.name === name);
  try {
    if (asked) return await asked.run(args);
    if (name === '--version' || name === '-v') console.log(`ps3/${version()}`);
    else if (name === '--help' || name === '-h') console.log(helpOfAll(COMMANDS));
    else if (name === undefined) {
      console.error(helpOfAll(COMMANDS));
      return 2;
    } else {
      const names = COMMANDS.map(({ name }) => name).join(', ');
      throw new UsageError(`the command must be one of ${names}, got ${name}. See ps3 --help.`);
    }
    return 0;
  } catch (error) {
    // What the system refuses is no mistake of the command line: exit code 1.
    const refused = fileErrorOf(error);
    if (!refused && !(error instanceof EngineError)) throw error;
    console.error(`ps3: ${(refused ?? (error as EngineError)).message}`);
    if (error instanceof InterruptedError) return INTERRUPTED;
    return refused ? 1 : 2;
  }
}
