// `ps3 data caption`.
import { captionSources } from '../../data/caption/run.ts';
import type { CaptionRule } from '../../data/caption/words.ts';
import { GENERATORS } from '../../data/generators/generators.ts';
import { SOURCE_SPLITS } from '../../data/pieces.ts';
import {
  type Command,
  command,
  type Flag,
  on,
  oneOf,
  percent,
  text,
  UsageError,
  type Values,
  whole,
} from '../flags.ts';
import { ProgressBar } from '../progress.ts';

const CAPTION = {
  dpi: dpiList('Pixels an inch of documents, each page by one of them; default 150, a letter at 4K has 330'),
  words: whole('Consecutive words of a caption; default 15'),
  lines: on('Each line is a caption, in place of so many words'),
  kinds: on('Captions are what things are (text, button, icon, ...), not what they say'),
  screen: screenSize('Screen that web pages are shown on; default 3840x2160'),
  screens: whole('Screens of a web page, from its top, at most; default 4'),
  captioner: text(
    '<program|url>',
    'What describes images: a program that is given the path of one and of a part, or a chat server’s address',
  ),
  boxes: whole('Boxes of an image that are described, at most; default 4'),
  split: oneOf(SOURCE_SPLITS, 'Part of the source files: all, train or heldOut; default all'),
  count: whole(`Images of a source that is made up; default 100`),
  sources: on(
    'With road signs, furniture and maps of Debian’s packages, of what is made up (290 MB, downloaded once)',
  ),
  'held-out': percent('Percent of the source files that are held out; default 20'),
  seed: whole('Chooses the splits and the dpi of each page; default 1', 0),
  licence: text('<terms>', 'Terms of the sources, for the manifest'),
  threads: whole('Default: one for each core'),
};

function dpiList(help: string): Flag<readonly number[]> {
  const read = (text: string): number[] | undefined => {
    const list = text.split(',').map((word) => whole('', 20).read(word));
    return list.every((dpi) => dpi !== undefined) ? list : undefined;
  };
  return { help, value: '<n,...>', rule: 'whole numbers of at least 20 with commas between', read };
}

function screenSize(help: string): Flag<readonly [number, number]> {
  const read = (text: string): [number, number] | undefined => {
    const match = /^(\d+)x(\d+)$/.exec(text);
    return match ? [Number(match[1]), Number(match[2])] : undefined;
  };
  return { help, value: '<WxH>', rule: 'a width and a height in pixels, such as 3840x2160', read };
}

async function caption(values: Values<typeof CAPTION>, [source, out]: readonly string[]): Promise<number> {
  const { words, lines, kinds, screen, screens } = values;
  if (lines && words !== undefined)
    throw new UsageError('data caption: --words and --lines exclude each other, got both. Leave one out.');
  const { dpi, split, seed, licence, threads, captioner, boxes, count, sources } = values;
  const counted = words === undefined ? undefined : { words, minWords: Math.min(3, words) };
  const rule: CaptionRule | undefined = lines ? { words: 'line', minWords: 1 } : counted;
  const heldOut = values['held-out'];
  const bar = new ProgressBar();
  const result = await captionSources({
    ...{ source, out, dpi, split, seed, licence, threads, captioner, boxes, count, sources },
    ...{ rule, kinds },
    screen: { ...(screen && { width: screen[0], height: screen[1] }), ...(screens && { screens }) },
    heldOutShare: heldOut === undefined ? undefined : heldOut / 100,
    onProgress: (done, all) => bar.update('captioning sources', done, all),
    notice: (text) => console.error(text),
  });
  console.log(
    `${result.images} images with ${result.captions} captions of ${result.sources} files in ${out}`,
  );
  return 0;
}

/** Makes a collection of documents and web pages. */
export const captionCommand: Command = command({
  name: 'data caption',
  operands: '<source> <folder>',
  help: `Make images with captions of PDF and HTML files, of photographs with a model of yours, or made up (a source of ${GENERATORS.join(', ')}); once more goes on after a stop`,
  flags: CAPTION,
  run: caption,
});
