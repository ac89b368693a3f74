// The page: starts the suite in a worker and draws what it posts.
import { byId, element, facts } from '../../ps3/app/page/elements.ts';
import type { Failure, Row } from '../measure.ts';
import type { SuiteOptions } from '../options.ts';
import type { Peaks } from '../peaks.ts';
import type { BenchResult } from '../report.ts';
import type { SuiteEvent } from '../suite.ts';
import { comparison, peakFacts, tableRow } from './draw.ts';
import { endedBy, notices, obstacle } from './notices.ts';
import type { WorkerMessage } from './worker.ts';

// The build puts them in; see bench/bundle.ts.
declare const VERSION: string;
declare const STORED_RESULTS: readonly BenchResult[];

const controls = byId('controls', HTMLFormElement);
const filter = byId('filter', HTMLInputElement);
const seconds = byId('seconds', HTMLInputElement);
const runButton = byId('run', HTMLButtonElement);
const stopButton = byId('stop', HTMLButtonElement);
const progressBar = byId('bar', HTMLProgressElement);
const status = byId('status', HTMLElement);
const stored = byId('stored', HTMLSelectElement);

/** What a run has given so far. */
interface Run {
  adapter: string;
  peaks: Peaks | undefined;
  cases: readonly { readonly op: string; readonly shape: string }[];
  readonly rows: Row[];
  readonly failures: Failure[];
}

const emptyRun = (): Run => ({ adapter: '', peaks: undefined, cases: [], rows: [], failures: [] });
let run = emptyRun();
let worker = newWorker();

function newWorker(): Worker {
  const made = new Worker('worker.js');
  made.onmessage = ({ data }: MessageEvent<WorkerMessage>) => receive(data);
  made.onerror = ({ message }) => end(endedBy('internal', message || 'worker.js did not load'));
  return made;
}

function receive(message: WorkerMessage): void {
  if (message.kind === 'ops')
    byId('ops', HTMLDataListElement).replaceChildren(
      ...message.ops.map((op) => Object.assign(element('option', ''), { value: op })),
    );
  else if (message.kind === 'done') end();
  else if (message.kind === 'error') end(endedBy(message.code, message.message));
  else draw(message);
}

function draw(event: SuiteEvent): void {
  if (event.kind === 'adapter') {
    run.adapter = event.adapter;
    byId('adapter-name', HTMLElement).textContent = event.adapter;
    byId('facts', HTMLElement).replaceChildren(
      ...facts([
        ['tier', String(event.tier)],
        ['times by', event.timesKernels ? 'device timestamps' : 'the wall clock'],
      ]),
    );
    byId('adapter', HTMLElement).hidden = false;
    const same = [...stored.options].find(
      ({ value }) => STORED_RESULTS[Number(value)].adapter === event.adapter,
    );
    if (same) same.selected = true;
    status.textContent = 'Measuring the peaks of this adapter';
  } else if (event.kind === 'peaks') {
    run.peaks = event.peaks;
    run.cases = event.cases;
    byId('facts', HTMLElement).prepend(...peakFacts(event.peaks));
    byId('results', HTMLElement).hidden = false;
    progressBar.max = event.cases.length;
    drawProgress();
  } else if (event.kind === 'result' && run.peaks) {
    const { result } = event;
    byId('rows', HTMLElement).append(tableRow(result, run.peaks));
    if ('reason' in result) {
      run.failures.push(result);
      drawNotices(notices(run.failures));
    } else run.rows.push(result);
    drawProgress();
    drawComparison();
  }
}

function drawProgress(): void {
  const count = run.rows.length + run.failures.length;
  progressBar.value = count;
  const next = run.cases[count];
  if (next) status.textContent = `${count + 1} of ${run.cases.length}: ${next.op} ${next.shape}`;
}

function drawNotices(sentences: readonly string[]): void {
  byId('notices', HTMLElement).replaceChildren(...sentences.map((sentence) => element('p', '', sentence)));
}

function drawComparison(): void {
  const chosen = STORED_RESULTS[Number(stored.value)];
  const groups = chosen ? comparison(run.rows, chosen) : [];
  byId('peers', HTMLElement).replaceChildren(...groups);
  byId('comparison', HTMLElement).hidden = groups.length === 0;
}

function begin(options: SuiteOptions): void {
  run = emptyRun();
  for (const id of ['adapter', 'results', 'comparison']) byId(id, HTMLElement).hidden = true;
  byId('rows', HTMLElement).replaceChildren();
  drawNotices([]);
  byId('copied', HTMLElement).textContent = '';
  progressBar.removeAttribute('value');
  status.textContent = 'Opening the GPU';
  showRunning(true);
  worker.postMessage(options);
}

function showRunning(running: boolean): void {
  byId('progress', HTMLElement).hidden = false;
  progressBar.hidden = !running;
  runButton.hidden = running;
  stopButton.hidden = !running;
}

/** Ends a run, early when there is a reason; what it measured stays. */
function end(reason?: string): void {
  showRunning(false);
  const measured = `${run.rows.length} of ${run.cases.length} cases measured`;
  status.textContent = run.cases.length === 0 ? '' : measured;
  drawNotices([...(reason ? [reason] : []), ...notices(run.failures)]);
  worker.terminate();
  worker = newWorker();
}

/** 'Chromium 156.0.8078.79', or all that the browser says of itself where it has no names for its parts. */
async function runtimeName(): Promise<string> {
  const { userAgentData } = navigator as Navigator & {
    userAgentData?: {
      getHighEntropyValues(
        hints: string[],
      ): Promise<{ fullVersionList: { brand: string; version: string }[] }>;
    };
  };
  if (!userAgentData) return navigator.userAgent;
  const { fullVersionList } = await userAgentData.getHighEntropyValues(['fullVersionList']);
  const brands = fullVersionList.filter(({ brand }) => !/not/i.test(brand)); // one brand is made up, as a test of readers
  const named = brands.find(({ brand }) => brand !== 'Chromium') ?? brands[0];
  return named ? `${named.brand} ${named.version}` : navigator.userAgent;
}

/** What `npm run bench -- --json FILE` writes. */
async function resultText(): Promise<string> {
  if (!run.peaks) throw new Error('internal: there are no results before the peaks.');
  const result: BenchResult = {
    adapter: run.adapter,
    runtime: await runtimeName(),
    versions: { 'ps3-webgpu': VERSION },
    date: new Date().toISOString(),
    ...{ peaks: run.peaks, rows: run.rows, failures: run.failures },
  };
  return `${JSON.stringify(result, undefined, 1)}\n`;
}

async function copyResult(): Promise<void> {
  const text = await resultText();
  byId('copied', HTMLElement).textContent = await navigator.clipboard.writeText(text).then(
    () => 'Copied.',
    (error: Error) => `The browser did not let it be copied (${error.message}). Download it.`,
  );
}

async function downloadResult(): Promise<void> {
  const url = URL.createObjectURL(new Blob([await resultText()], { type: 'application/json' }));
  Object.assign(element('a', ''), { href: url, download: 'bench.json' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** The stored results that have other libraries. */
function offerStored(): void {
  STORED_RESULTS.forEach(({ adapter, runtime, date, rows }, index) => {
    if (new Set(rows.map(({ library }) => library)).size < 2) return;
    const label = `${adapter}, ${runtime}, ${date.slice(0, 10)}`;
    stored.append(Object.assign(element('option', '', label), { value: String(index) }));
  });
}

controls.onsubmit = (event) => {
  event.preventDefault();
  const quick = new FormData(controls).get('suite') === 'quick';
  begin({ quick, filter: filter.value.trim() || undefined, seconds: seconds.valueAsNumber });
};
controls.onchange = ({ target }) => {
  if (target instanceof HTMLInputElement && target.name === 'suite')
    seconds.value = target.value === 'quick' ? '0.5' : '2';
};
stopButton.onclick = () => end();
stored.onchange = drawComparison;
byId('copy', HTMLElement).onclick = copyResult;
byId('download', HTMLElement).onclick = downloadResult;
offerStored();
const why = obstacle();
if (why) {
  runButton.disabled = true;
  drawNotices([why]);
}
