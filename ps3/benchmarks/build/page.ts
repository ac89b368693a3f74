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

const escaped = (text: string): string => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** The page; questions are evenly spread over their order. */
export async function questionsPage(
  folder: string,
  summary: Detail4kSummary,
  questions: readonly Question[],
): Promise<string> {
  const count = Math.min(SHOWN, questions.length);
  const shown = Array.from(
    { length: count },
    (_, i) => questions[Math.floor((i * questions.length) / count)],
  );
  const cards = await Promise.all(shown.map((question) => card(folder, question)));
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
<div class="cards">${cards.join('\n')}</div></html>
`;
}

async function card(folder: string, question: Question): Promise<string> {
  const { image, width, height, boxes = [], options = [], answer, leastPx, category } = question;
  const [x1, y1, x2, y2] = boxes[0];
  const margin = Math.max(AROUND.leastPx, AROUND.part * Math.max(x2 - x1, y2 - y1));
  const [left, top] = [Math.max(0, Math.floor(x1 - margin)), Math.max(0, Math.floor(y1 - margin))];
  const size = {
    width: Math.min(width, Math.ceil(x2 + margin)) - left,
    height: Math.min(height, Math.ceil(y2 + margin)) - top,
  };
  const crop = await sharp(join(folder, image))
    .extract({ left, top, ...size })
    .jpeg({ quality: 90 })
    .toBuffer();
  const listed = options.map(
    (option, i) => `<span${i === answer ? ' class="right"' : ''}>${escaped(option)}</span>`,
  );
  return `<figure><img alt="" src="data:image/jpeg;base64,${crop.toString('base64')}"><figcaption>${escaped(question.question)}<br>${listed.join(' · ')}<br><small>${category}, needs ${leastPx!.reader} px, by its size ${leastPx!.constructed} px · <a href="${image}">the whole image</a></small></figcaption></figure>`;
}
