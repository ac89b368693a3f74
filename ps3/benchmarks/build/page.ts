// A benchmark to look at: what it needs by category, and some of its questions with what they are about.
import { join } from 'node:path';
import sharp from 'sharp';
import type { Question } from './ask.ts';
import { NEEDS } from './choose.ts';
import type { Detail4kSummary } from './summary.ts';

/** Questions that are shown. */
const SHOWN = 24;
/** What is shown around an answer, as parts of its size and pixels at least. */
const AROUND = { part: 0.5, leastPx: 120 };

/** As text of HTML. */
export const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** The page; questions are evenly spread over their order. */
export async function questionsPage(
  folder: string,
  summary: Detail4kSummary,
  questions: readonly Question[],
): Promise<string> {
  const cards = await Promise.all(
    spread(questions).map((question) => questionCard(join(folder, question.image), question.image, question)),
  );
  const { ladder, categories, blind } = summary;
  const header = [
    ...['', 'questions', 'images', 'image px', 'needed px'],
    ...ladder.map((rung) => `≤ ${rung}`),
    ...NEEDS.map((need) => `needs ${need}`),
  ];
  const rows = Object.entries(categories).map(
    ([name, { questions, images, imagePx, neededPx, reader, needs }]) => {
      const most = Math.max(1, ...Object.values(reader));
      const bars = ladder.map(
        (rung) =>
          `<td><span class="bar" style="height: ${(40 * reader[rung]) / most}px"></span><br>${reader[rung]}</td>`,
      );
      return `<tr><th>${name}</th>${[questions, images, imagePx, neededPx].map((cell) => `<td>${cell}</td>`).join('')}${bars.join('')}${NEEDS.map((need) => `<td>${(100 * needs[need]).toFixed(0)} %</td>`).join('')}</tr>`;
    },
  );
  const rules = Object.entries(blind).map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${summary.name}</title><style>
body { font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 1500px; padding: 0 1em; color: #1b1f24 }
table { border-collapse: collapse } td, th { padding: 0.3em 0.8em; text-align: right; vertical-align: bottom; border-bottom: 1px solid #d5dae0 }
.bar { display: inline-block; width: 2.2em; background: #2f6fb5 } .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 1.2em }
figure { margin: 0; padding: 0.8em; border: 1px solid #d5dae0; border-radius: 6px } img { max-width: 100%; image-rendering: pixelated } .right { font-weight: bold } small { color: #57606a }
</style><h1>${summary.name}, ${summary.split}</h1>
<p>${summary.questions} questions on ${summary.images} images, each in four rotations of its options. The columns count questions by the least long side of the image at which a reader (Tesseract) answers them, there and at every larger one. Left out: ${summary.dropped.illegible} that it does not read at all, ${summary.dropped.blind} that rules answer without the image.</p>
<table><tr>${header.map((cell) => `<th>${cell}</th>`).join('')}</tr>${rows.join('')}</table>
<p>Right without the image, chance 25 %: ${rules.join(', ')}.</p>
<p>What a person reads of them: <a href="sheet.html">a sheet to fill in</a>.</p>
<div class="cards">${cards.join('\n')}</div></html>
`;
}

/** The part of an image around a box, as it is seen at a long side, enlarged again: JPEG. */
export async function cropAt(
  path: string,
  { width, height, boxes = [] }: Pick<Question, 'width' | 'height' | 'boxes'>,
  longSidePx: number = Infinity,
): Promise<Buffer> {
  const [x1, y1, x2, y2] = boxes[0];
  const margin = Math.max(AROUND.leastPx, AROUND.part * Math.max(x2 - x1, y2 - y1));
  const [left, top] = [Math.max(0, Math.floor(x1 - margin)), Math.max(0, Math.floor(y1 - margin))];
  const size = {
    width: Math.min(width, Math.ceil(x2 + margin)) - left,
    height: Math.min(height, Math.ceil(y2 + margin)) - top,
  };
  const scale = Math.min(1, longSidePx / Math.max(width, height));
  const shrunk = (length: number): number => Math.max(1, Math.round(length * scale));
  const crop = await sharp(path)
    .extract({ left, top, ...size })
    .png()
    .toBuffer();
  const seen =
    scale === 1
      ? crop
      : await sharp(crop)
          .resize(shrunk(size.width), shrunk(size.height), { fit: 'fill', kernel: 'cubic' })
          .png()
          .toBuffer();
  return sharp(seen)
    .resize(size.width, size.height, { fit: 'fill', kernel: 'cubic' })
    .jpeg({ quality: 90 })
    .toBuffer();
}

/**
 * A question with what it is about, as HTML.
 *
 * @param path  of its image
 * @param link  to it, from the page
 */
export async function questionCard(path: string, link: string, question: Question): Promise<string> {
  const { options = [], answer, leastPx, category } = question;
  const crop = await cropAt(path, question);
  const listed = options.map(
    (option, i) => `<span${i === answer ? ' class="right"' : ''}>${escaped(option)}</span>`,
  );
  return `<figure><img alt="" src="data:image/jpeg;base64,${crop.toString('base64')}"><figcaption>${escaped(question.question)}<br>${listed.join(' · ')}<br><small>${category}, needs ${leastPx!.reader} px, by its size ${leastPx!.constructed} px · <a href="${escaped(link)}">the whole image</a></small></figcaption></figure>`;
}

/** Questions evenly spread over their order. */
export function spread<T>(questions: readonly T[], most: number = SHOWN): T[] {
  const count = Math.min(most, questions.length);
  return Array.from({ length: count }, (_, i) => questions[Math.floor((i * questions.length) / count)]);
}
