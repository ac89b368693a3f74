// `ps3 data questions`.
import { buildText4k } from '../../benchmarks/build/text_4k.ts';
import { type Command, columns, command, oneOf, type Values, whole } from '../flags.ts';
import { ProgressBar } from '../progress.ts';

const QUESTIONS = {
  images: whole('Images, with up to four questions each; default 200'),
  seed: whole('Default 1', 0),
  split: oneOf(['test', 'dev'], 'test or dev, which share no image; default test'),
};

async function questions(values: Values<typeof QUESTIONS>, [out]: readonly string[]): Promise<number> {
  const bar = new ProgressBar();
  const summary = await buildText4k({
    ...values,
    out,
    onProgress: (done, all) => bar.update('asking about images', done, all),
    notice: (text) => console.error(text),
  });
  const { constructed, reader, blind } = summary;
  console.log(
    `${summary.questions} questions on ${summary.images} images in ${out}, ${summary.dropped} left out as illegible`,
  );
  const rows = Object.keys(constructed).map(
    (rung) => [`${rung} px`, `${constructed[rung]} by size, ${reader[rung]} by the reader`] as const,
  );
  console.log(columns([['needed', 'questions'], ...rows]));
  console.log(
    columns(
      Object.entries(blind).map(([rule, right]) => [`${rule} option`, `${(100 * right).toFixed(1)} % right`]),
    ),
  );
  return 0;
}

/** Builds a benchmark of small text. */
export const questionsCommand: Command = command({
  name: 'data questions',
  operands: '<folder>',
  help: 'Build a benchmark: questions about small text on made-up desktops, for `ps3 benchmark --as text-4k`',
  flags: QUESTIONS,
  run: questions,
});
