// report.json of a run: what its report shows and no other file of the folder holds.
import { fileSystem, readTextFile } from '../../engine/index.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import { SCALE_LINES } from './colours.ts';
import { type Example, exampleRow } from './examples.ts';
import { type Html, html } from './html.ts';
import type { TrainingData } from './training_data.ts';

/** The images of a run, counted and described. */
export interface DataFacts {
  /** Images to train on, counted. */
  readonly trainedOn: string;
  readonly heldOutImages: number;
  readonly heldOutBoxes: number;
  /** How the held-out images differ from those of training; one sentence. */
  readonly heldOutMeans: string;
  /** Where the images come from, one line each. */
  readonly credits: readonly string[];
}

export interface ReportParts {
  /** The adapter in words. */
  readonly adapterName: string;
  readonly data: DataFacts;
  /** Where the trained model looks, as HTML; undefined before it is trained. */
  readonly examples?: string;
}

export function factsOf({
  trainedOn,
  heldOut,
  heldOutMeans,
  credits,
}: Pick<TrainingData, 'trainedOn' | 'heldOut' | 'heldOutMeans' | 'credits'>): DataFacts {
  const heldOutBoxes = heldOut.reduce((sum, { boxes }) => sum + boxes.length, 0);
  return { trainedOn, heldOutImages: heldOut.length, heldOutBoxes, heldOutMeans, credits };
}

/** Which line is which scale, where there are several. */
function lineNames(examples: readonly Example[]): string {
  const count = examples[0]?.bottomUp.selected.length ?? 0;
  const names = SCALE_LINES.slice(0, count).map(({ name }) => name);
  return count > 1 ? `, from the coarsest scale to the finest ${names.join(', ')}` : '';
}

function chosen(count: number): string {
  if (count === 0) return 'No held-out image has two different captions, so none is shown.';
  const which = count === 1 ? 'The first held-out image' : `The first ${count} held-out images`;
  return `${which} with two different captions, not chosen by outcome.`;
}

/** What a model sees in a few images, as HTML. */
export async function examplesHtml(examples: readonly Example[]): Promise<string> {
  const rows: Html[] = [];
  for (const example of examples) rows.push(await exampleRow(example));
  return html`<p>${chosen(examples.length)} Dark to bright runs from the lowest to the highest value of each map. Outlines are the patches that one look selects${lineNames(examples)}. Percentages are shares of a box’s patches that the look takes.</p>
${rows}`.html;
}

const pathOf = (run: string): string => `${run}/report.json`;

/** @param run  path of its folder */
export function writeReportParts(run: string, parts: ReportParts): Promise<void> {
  return writeWhole(pathOf(run), `${JSON.stringify(parts)}\n`);
}

/** What of it is known: little of a run that was made before this file was. */
export async function readReportParts(run: string): Promise<ReportParts> {
  const { stat } = await fileSystem();
  if (await stat(pathOf(run)).catch(() => undefined))
    return JSON.parse(await readTextFile(pathOf(run))) as ReportParts;
  const data = {
    trainedOn: 'images that are not told',
    heldOutImages: 0,
    heldOutBoxes: 0,
    heldOutMeans: '',
    credits: [],
  };
  return { adapterName: 'adapter unknown', data };
}
