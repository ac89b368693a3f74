// `ps3 data scenes`.
import { FORMATS, runDataScenes, SPLIT_NAMES } from '../../data/build.ts';
import type { Transport } from '../../ranks/transport.ts';
import {
  type Command,
  command,
  type Flag,
  on,
  oneOf,
  text,
  UsageError,
  type Values,
  whole,
} from '../flags.ts';
import { leadProgress } from '../progress.ts';

const SCENES = {
  out: text('<dir>', 'Folder to write'),
  count: whole('Images; default 100'),
  side: { ...whole('Side of the images; default 448', 64), value: '<px>' },
  seed: whole('Default 1', 0),
  concepts: conceptCount("Captioned concepts, or 'all'; default 32"),
  signs: whole('Captioned words per image, at most; default by the side', 0),
  split: oneOf(SPLIT_NAMES, `${SPLIT_NAMES.slice(0, -1).join(', ')} or ${SPLIT_NAMES.at(-1)}; default train`),
  format: oneOf(FORMATS, 'folder or shards; default folder'),
  photos: text('<dir>', 'Your own photographs as backgrounds'),
  stamps: on('Add tuxpaint’s stamps (161 MB)'),
  permissive: on('Only sources that ask for no more than attribution'),
};

function conceptCount(help: string): Flag<number | 'all'> {
  const count = whole(help);
  const read = (text: string): number | 'all' | undefined => (text === 'all' ? text : count.read(text));
  return { ...count, rule: `${count.rule} or all`, read };
}

async function buildScenes(
  values: Values<typeof SCENES>,
  _: readonly string[],
  transport: Transport,
): Promise<number> {
  const { out, count = 100 } = values;
  if (!out) throw new UsageError('data scenes: --out must name the folder to write, got none.');
  if (values.stamps && values.permissive)
    throw new UsageError(
      'data scenes: --stamps and --permissive exclude each other, got both: the stamps are GPL.',
    );
  const isLead = transport.rank === 0;
  const show = leadProgress(transport);
  const result = await runDataScenes({
    ...values,
    out,
    count,
    transport,
    progress: (done, count, what) => show(what, done, count),
    notice: (text) => {
      if (isLead) console.error(text);
    },
  });
  if (isLead) console.log(`${result.images} images with ${result.boxes} boxes in ${result.out}`);
  return 0;
}

/** Builds sample data. */
export const scenesCommand: Command = command({
  name: 'data scenes',
  operands: '',
  help: 'Build sample data: photographs with captioned drawings and words',
  flags: SCENES,
  hasRanks: true,
  run: buildScenes,
});
