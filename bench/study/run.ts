// npm run study                    the full study: hours, goes on where it was stopped
// npm run study -- --quick         at most an hour on two cores
// npm run study -- --report        the page again, from the stored file
// npm run study -- --out DIR       where cells are kept; default runs/study
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Engine } from '../../engine/index.ts';
import { version } from '../../ps3/app/version.ts';
import { analyse } from './analysis.ts';
import { Cells } from './cells.ts';
import { compute } from './compute.ts';
import { SIZES, type StudySize } from './design.ts';
import { studyPage, studySummary } from './page.ts';
import { readStudy, type StoredStudy, writeStudy } from './stored.ts';

interface CommandLine {
  readonly size: StudySize;
  readonly out: string;
  readonly isReport: boolean;
}

function commandLine(): CommandLine {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean' },
        tiny: { type: 'boolean' },
        report: { type: 'boolean' },
        out: { type: 'string' },
      },
    });
    const size = values.tiny ? SIZES.tiny : values.quick ? SIZES.quick : SIZES.full;
    return { size, out: values.out ?? join('runs', 'study'), isReport: values.report ?? false };
  } catch (error) {
    console.error(`study: ${(error as Error).message}`);
    process.exit(2);
  }
}

/** The JSON, the summary and the page beside them. */
function write(study: StoredStudy, folder: string): void {
  const analysis = analyse(study.cells);
  const { name } = study.cells.size;
  mkdirSync(folder, { recursive: true });
  const place = (ending: string): string => join(folder, `${name}.${ending}`);
  writeFileSync(place('json'), writeStudy(study));
  writeFileSync(place('md'), studySummary(study, analysis));
  writeFileSync(place('html'), studyPage(study, analysis));
  console.log(studySummary(study, analysis));
  console.log(`study: wrote ${place('json')}, ${place('md')} and ${place('html')}`);
}

const { size, out, isReport } = commandLine();
const results = join(dirname(fileURLToPath(import.meta.url)), 'results');
const folder = size.name === 'tiny' ? out : results;
if (isReport) write(readStudy(readFileSync(join(folder, `${size.name}.json`), 'utf8')), folder);
else {
  const signal = { aborted: false };
  process.once('SIGINT', () => {
    console.error('study: stops after the cell at hand; interrupt again to stop at once');
    signal.aborted = true;
  });
  const started = performance.now();
  const notice = (sentence: string): void => {
    const minutes = ((performance.now() - started) / 60_000).toFixed(1).padStart(5);
    console.error(`${minutes} min  ${sentence}`);
  };
  const engine = await Engine.create();
  try {
    const cells = new Cells(join(out, 'cells'), notice);
    const computed = await compute(engine, { cells, size, signal, notice });
    const environment = {
      'ps3-webgpu': version(),
      adapter: engine.adapterName,
      date: new Date().toISOString().slice(0, 10),
      cells: cells.used,
    };
    write({ environment, cells: computed }, folder);
  } finally {
    engine.destroy();
  }
}
