// A sheet for a person: questions at three resolutions, the lowest first, to be compared with the reader.
import { join } from 'node:path';
import type { Question } from './ask.ts';
import { cropAt, escaped, spread } from './page.ts';

/** Long sides at which questions are shown, pixels. */
const SHOWN_PX = [1512, 2268, 3780] as const;

/** Questions on a sheet, each at all of them. */
const CHECKED = 40;

/** Runs in the page: compares what was chosen with the answers and with the reader. */
function compare(): void {
  const rows = [...document.querySelectorAll<HTMLElement>('fieldset')].flatMap((field) => {
    const chosen = field.querySelector<HTMLInputElement>('input:checked');
    const { px = '', answer, reader = '' } = field.dataset;
    return chosen ? [{ px, isRight: chosen.value === answer, isRead: Number(reader) <= Number(px) }] : [];
  });
  const share = (list: readonly boolean[]): number => list.filter(Boolean).length / Math.max(1, list.length);
  const lines = ['1512', '2268', '3780'].map((px) => {
    const own = rows.filter((row) => row.px === px);
    return `at ${px} px: right ${own.filter(({ isRight }) => isRight).length} of ${own.length}`;
  });
  const agreed = share(rows.map(({ isRight, isRead }) => isRight === isRead));
  const [right, read] = [share(rows.map(({ isRight }) => isRight)), share(rows.map(({ isRead }) => isRead))];
  const expected = right * read + (1 - right) * (1 - read);
  const kappa = expected < 1 ? (agreed - expected) / (1 - expected) : 1;
  lines.push(
    `the reader and you agree on ${(100 * agreed).toFixed(0)} % of ${rows.length}, Cohen's kappa ${kappa.toFixed(2)}`,
  );
  document.querySelector('#found')!.textContent = lines.join(', ');
}

/** The sheet as a page. */
export async function personSheet(folder: string, questions: readonly Question[]): Promise<string> {
  const fields: string[] = [];
  for (const px of SHOWN_PX)
    for (const [i, question] of spread(questions, CHECKED).entries()) {
      const crop = await cropAt(join(folder, question.image), question, px);
      const choices = [...(question.options ?? []), 'I cannot tell'].map(
        (option, o) =>
          `<label><input type="radio" name="${px}-${i}" value="${o}"> ${escaped(option)}</label>`,
      );
      fields.push(
        `<fieldset data-px="${px}" data-answer="${question.answer}" data-reader="${question.leastPx!.reader}"><legend>${i + 1}, ${px} px</legend><img alt="" src="data:image/jpeg;base64,${crop.toString('base64')}"><p>${escaped(question.question)}</p>${choices.join('<br>')}</fieldset>`,
      );
    }
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Read by a person</title><style>
body { font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; color: #1b1f24; display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 1em }
h1, p.wide { grid-column: 1 / -1 } fieldset { border: 1px solid #d5dae0; border-radius: 6px } img { max-width: 100% } output { font-weight: bold }
</style><h1>Read by a person</h1><p class="wide">The same questions at ${SHOWN_PX.join(', ')} px. Choose what you read, from the top; at the end: <button type="button" onclick="compare()">compare</button> <output id="found"></output></p>
${fields.join('\n')}
<script>globalThis.__name = (named) => named; ${compare}</script></html>
`;
}
