// `ps3 data questions`.
import { buildDetail4k, CATEGORIES, type Category } from '../../benchmarks/build/detail_4k.ts';
import { type Command, columns, command, type Flag, on, oneOf, text, type Values, whole } from '../flags.ts';
import { ProgressBar } from '../progress.ts';

const QUESTIONS = {
  categories: categoryList(
    `Of ${CATEGORIES.join(', ')}; default all that are made up, and documents where they are named`,
  ),
  documents: text('<folder>', 'PDF files, whose pages are the category documents'),
  licence: text('<terms>', 'Terms of the documents, for the manifest'),
  images: whole('Images of each category, with up to four questions each; default 60'),
  seed: whole('Default 1', 0),
  split: oneOf(['test', 'dev'], 'test or dev, which share no image; default test'),
  sources: on('With road signs, furniture and maps of Debian’s packages (290 MB, downloaded once)'),
  'drawn-only': on('Put together what earlier calls drew, and draw no more'),
};

function categoryList(help: string): Flag<readonly Category[]> {
  const read = (text: string): Category[] | undefined => {
    const list = text.split(',').map((word) => CATEGORIES.find((name) => name === word));
    return list.every((name) => name !== undefined) ? [...new Set(list)] : undefined;
  };
  return { help, value: '<name,...>', rule: `names with commas between, of ${CATEGORIES.join(', ')}`, read };
}

async function questions(
  { 'drawn-only': drawnOnly, ...values }: Values<typeof QUESTIONS>,
  [out]: readonly string[],
): Promise<number> {
  const bar = new ProgressBar();
  const summary = await buildDetail4k({
    ...values,
    ...(drawnOnly && { drawnOnly }),
    out,
    onProgress: (done, all) => bar.update('asking about images', done, all),
    notice: (text) => console.error(text),
  });
  const { dropped, categories, blind, ladder } = summary;
  console.log(
    `${summary.questions} questions on ${summary.images} images in ${out}, ${dropped.illegible} left out as illegible, ${dropped.blind} as answered blind; see ${out}/index.html`,
  );
  const rows = Object.entries(categories).map(
    ([name, { questions, reader }]) =>
      [name, `${questions}: ${ladder.map((rung) => reader[rung]).join(' ')}`] as const,
  );
  console.log(columns([['category', `questions: by the least pixels, ${ladder.join(' ')}`], ...rows]));
  console.log(
    columns(
      Object.entries(blind).map(([rule, right]) => [`${rule} option`, `${(100 * right).toFixed(1)} % right`]),
    ),
  );
  return 0;
}

/** Builds a benchmark of small details. */
export const questionsCommand: Command = command({
  name: 'data questions',
  operands: '<folder>',
  help: 'Build a benchmark: questions about small details of streets, rooms, games, desktops and documents, for `ps3 benchmark --as detail-4k`',
  flags: QUESTIONS,
  run: questions,
});
