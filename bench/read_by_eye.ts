// node --import ./engine/wgsl_loader.mjs --import tsx bench/read_by_eye.ts DIR --sheets OUT      # images to look at, with their questions
// node --import ./engine/wgsl_loader.mjs --import tsx bench/read_by_eye.ts DIR --answers FILE    # beside the truth and the reader
//
// What a person reads of a benchmark that `ps3 data questions` built: questions that need more than 2268 px, each as the part around its
// answer, reduced with the image to a long side and enlarged again, and its four options. No question is shown twice. The file of answers is
// JSON, {"street": [...], ...}: of each question in order the place of the chosen option, or null. Writes bench/results/detail-4k/read.json.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createCanvas, GlobalFonts, loadImage } from '@napi-rs/canvas';
import sharp from 'sharp';
import { makeFolder } from '../engine/index.ts';
import { readBenchmark } from '../ps3/benchmarks/benchmarks.ts';
import { needOf } from '../ps3/benchmarks/build/choose.ts';
import type { BenchmarkRecord } from '../ps3/benchmarks/record.ts';
import { npmFont } from '../ps3/data/packages.ts';
import { seedFor } from '../ps3/data/seeds.ts';

/** Long sides at which questions are shown, and how many of each category at each. */
const SHOWN: readonly (readonly [px: number, questions: number])[] = [
  [1512, 8],
  [2268, 8],
  [3780, 4],
  [756, 8],
];
/** On a sheet, one of each category: columns, rows, and the size of a part with its options, pixels. */
const [COLUMNS, ROWS, WIDTH, HEIGHT] = [4, 7, 360, 270];
/** Free around the answer, pixels of the image, and how much it is enlarged at most. */
const AROUND_PX = 14;
const ENLARGED = 8;

/** The part around the answer as it is at a long side, enlarged again. */
async function partOf({ image, boxes = [], width, height }: BenchmarkRecord, px: number): Promise<Buffer> {
  const scale = Math.min(1, px / Math.max(width, height));
  const [x1, y1, x2, y2] = boxes[0];
  // Whole pixels of the reduced image.
  const left = Math.max(0, Math.floor((x1 - AROUND_PX) * scale));
  const top = Math.max(0, Math.floor((y1 - AROUND_PX) * scale));
  const right = Math.min(Math.round(width * scale), Math.ceil((x2 + AROUND_PX) * scale));
  const bottom = Math.min(Math.round(height * scale), Math.ceil((y2 + AROUND_PX) * scale));
  const reduced = await sharp(image)
    .resize(Math.round(width * scale), Math.round(height * scale), { fit: 'fill', kernel: 'cubic' })
    .png({ compressionLevel: 1 })
    .toBuffer();
  const part = { left, top, width: right - left, height: bottom - top };
  const by = Math.min(ENLARGED / scale, (WIDTH - 20) / part.width, (HEIGHT - 110) / part.height);
  return sharp(reduced)
    .extract(part)
    .resize(Math.round(part.width * by), Math.round(part.height * by), { fit: 'fill', kernel: 'cubic' })
    .png()
    .toBuffer();
}

const { values, positionals } = parseArgs({
  options: { sheets: { type: 'string' }, answers: { type: 'string' } },
  allowPositionals: true,
});
const needing = new Map<string, BenchmarkRecord[]>();
for await (const record of readBenchmark('detail-4k', positionals[0])) {
  const { category = '', cycle, leastPx } = record;
  if (!cycle && leastPx && needOf(record) === 'above 2268')
    needing.set(category, [...(needing.get(category) ?? []), record]);
}
/** Of each category, by chance: the next questions at each long side. */
const shown = new Map(
  [...needing].map(([category, records]) => {
    const ranked = records.toSorted((a, b) => seedFor(4, a.id) - seedFor(4, b.id));
    return [
      category,
      SHOWN.flatMap(([px, count]) => ranked.splice(0, count).map((record) => ({ px, record }))),
    ];
  }),
);

if (values.sheets !== undefined) {
  await makeFolder(values.sheets);
  const font = await npmFont('fira-sans', console.error);
  GlobalFonts.registerFromPath(font.path, font.name);
  for (const [category, questions] of shown) {
    const canvas = createCanvas(COLUMNS * WIDTH, ROWS * HEIGHT);
    const context = canvas.getContext('2d');
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const [i, { px, record }] of questions.entries()) {
      const [x, y] = [(i % COLUMNS) * WIDTH + 10, Math.floor(i / COLUMNS) * HEIGHT + 10];
      context.drawImage(await loadImage(await partOf(record, px)), x, y);
      context.fillStyle = '#000';
      context.font = `16px ${font.name}`;
      context.fillText(`${i + 1}, ${px} px`, x, y + HEIGHT - 84);
      for (const [o, option] of (record.options ?? []).entries())
        context.fillText(`${o}: ${option}`, x + 175 * (o % 2), y + HEIGHT - 60 + 24 * Math.floor(o / 2));
    }
    writeFileSync(join(values.sheets, `${category}.png`), canvas.toBuffer('image/png'));
  }
}
if (values.answers !== undefined) {
  const answers = JSON.parse(readFileSync(values.answers, 'utf8')) as Record<string, (number | null)[]>;
  const read = [...shown].flatMap(([category, questions]) => {
    const own = answers[category];
    if (own?.length !== questions.length)
      throw new Error(`There must be ${questions.length} answers of ${category}, got ${own?.length}.`);
    return questions.map(({ px, record: { id, options = [], answer, leastPx, capPx } }, i) => ({
      ...{ px, id, capPx, readerPx: leastPx!.reader, answer: options[Number(answer)] },
      chosen: own[i] === null ? null : options[own[i]],
    }));
  });
  const sorted = read.toSorted((a, b) => a.px - b.px);
  const path = join(dirname(fileURLToPath(import.meta.url)), 'results', 'detail-4k', 'read.json');
  writeFileSync(path, `[\n${sorted.map((line) => JSON.stringify(line)).join(',\n')}\n]\n`);
}
