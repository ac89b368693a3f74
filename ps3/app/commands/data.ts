// `ps3 data` and what follows it.
import { type Command, columns, UsageError } from '../flags.ts';
import { captionCommand } from './data_caption.ts';
import { checkCommand } from './data_check.ts';
import { packCommand } from './data_pack.ts';
import { questionsCommand } from './data_questions.ts';
import { scenesCommand } from './data_scenes.ts';
import { vqaCommand } from './data_vqa.ts';

/** Each is named `data` and a word. */
const KINDS: readonly Command[] = [
  scenesCommand,
  captionCommand,
  questionsCommand,
  vqaCommand,
  checkCommand,
  packCommand,
];

const wordOf = ({ name }: Command): string => name.split(' ')[1];
const rows = KINDS.map((kind) => [wordOf(kind), kind.help] as const);

/** Builds, checks and packs collections of images. */
export const dataCommand: Command = {
  name: 'data',
  operands: `<${KINDS.map(wordOf).join('|')}>`,
  help: 'Build sample data or make some of documents, check a collection, pack a folder into shards or back',
  flags: {},
  async run([word, ...args], transport) {
    const kind = KINDS.find((kind) => wordOf(kind) === word);
    if (kind) return kind.run(args, transport);
    if (word === '--help' || word === '-h') {
      console.log(`${this.help}.\n\nUsage:\n  $ ps3 data <what> [options]\n\nWhat:\n${columns(rows)}`);
      return 0;
    }
    const words = KINDS.map(wordOf).join(', ');
    throw new UsageError(
      `data: the kind must be one of ${words}, got ${word ?? 'none'}. See ps3 data --help.`,
    );
  },
};
