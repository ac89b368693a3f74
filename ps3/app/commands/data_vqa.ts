// `ps3 data vqa`.
import { GENERATORS } from '../../data/generators/generators.ts';
import { SOURCE_SPLITS } from '../../data/pieces.ts';
import { vqaSources } from '../../data/vqa/run.ts';
import { type Command, command, on, oneOf, percent, text, type Values, whole } from '../flags.ts';
import { ProgressBar } from '../progress.ts';

const VQA = {
  questions: whole('Questions of each kind about an image, at most; default 8'),
  side: whole('Side of the backgrounds, pixels; default 3780', 64),
  photos: text('<dir>', 'Photographs for backgrounds, or generated; default those of Debian'),
  split: oneOf(SOURCE_SPLITS, 'Part of the sources: all, train or heldOut; default all'),
  'held-out': percent('Percent of the sources that are held out; default 20'),
  count: whole('Images of a source that is made up; default 100'),
  sources: on(
    'With road signs, furniture and maps of Debian’s packages, of what is made up (290 MB, downloaded once)',
  ),
  seed: whole('Chooses splits, questions, backgrounds and places; default 1', 0),
  licence: text('<terms>', 'Terms of the sources, for the manifest'),
};

async function vqa(
  { 'held-out': heldOut, ...values }: Values<typeof VQA>,
  [source, out]: readonly string[],
): Promise<number> {
  const bar = new ProgressBar();
  const { images, questions, answered } = await vqaSources({
    ...values,
    source,
    out,
    heldOutShare: heldOut === undefined ? undefined : heldOut / 100,
    onProgress: (done, all) => bar.update('asking about images', done, all),
    notice: (text) => console.error(text),
  });
  console.log(`${images} images with ${questions} questions, ${answered} of them with an answer, in ${out}`);
  return 0;
}

/** Makes a collection of images with questions. */
export const vqaCommand: Command = command({
  name: 'data vqa',
  operands: '<source> <folder>',
  help: `Make questions to train a VILA-HD on: of the captions of a folder's annotations.jsonl, of its questions.jsonl on backgrounds of 4K, or made up (a source of ${GENERATORS.join(', ')}); once more goes on after a stop`,
  flags: VQA,
  run: vqa,
});
