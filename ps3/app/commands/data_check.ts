// `ps3 data check`.
import { CheckpointReader } from '../../model/checkpoint/checkpoint.ts';
import { fromLead, type Transport } from '../../ranks/transport.ts';
import { countRows, faultCounts } from '../check_page.ts';
import { checkData } from '../data_check.ts';
import { type Command, columns, command, text, UsageError, type Values } from '../flags.ts';
import { leadProgress } from '../progress.ts';

const CHECK = {
  out: text('<dir>', 'Folder for check.html, faults.jsonl and what a check that is stopped goes on from'),
  annotations: text(
    '<tars>',
    'Archives of annotations, in the order of those of images, which <path> then names',
  ),
  tokenizer: text('<checkpoint>', 'Counts captions in tokens of a checkpoint: a folder or hf://owner/name'),
};

async function check(
  values: Values<typeof CHECK>,
  [images]: readonly string[],
  transport: Transport,
): Promise<number> {
  const { out, annotations = null, tokenizer: name } = values;
  if (!out) throw new UsageError('data check: --out must name the folder to write, got none.');
  const tokenizer = name === undefined ? undefined : { name, tokenizer: await tokenizerOf(name) };
  const show = leadProgress(transport);
  const onProgress = (done: number, all: number, faults: number): void =>
    show('checking shards or thousands of images', done, all, `${faults} faults`);
  const summary = await checkData({ images, annotations, out, tokenizer, transport, onProgress });
  return fromLead(transport, async () => {
    const { faults } = summary!;
    console.log(columns(countRows(summary!, name)));
    const counts = faultCounts(summary!);
    if (counts.length > 0) console.log(columns(counts.map(([kind, count]) => [kind, `${count}`])));
    console.log(`${out}/check.html`);
    return faults.length > 0 ? 1 : 0;
  });
}

async function tokenizerOf(source: string): Promise<CheckpointReader['tokenizer']> {
  await using reader = await CheckpointReader.open(source);
  return reader.tokenizer;
}

/** Checks a collection of images. */
export const checkCommand: Command = command({
  name: 'data check',
  operands: '<path>',
  help: 'Check a folder or shards: counts, faults, histograms and some images; exit code 1 where there are faults',
  flags: CHECK,
  hasRanks: true,
  run: check,
});
