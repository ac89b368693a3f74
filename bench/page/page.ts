// The page: starts the suite in a worker and draws what it posts.
import type { Certificate, Peaks } from '../../engine/index.ts';
import { byId, element, facts } from '../../ps3/app/page/elements.ts';
import { isOurs } from '../harness.ts';
import type { Failure, Row } from '../measure.ts';
import type { BenchResult } from '../report.ts';
import type { SuiteEvent } from '../suite.ts';
import { comparison, peakFacts, tableRow } from './draw.ts';
import { endedBy, notices, obstacle } from './notices.ts';
import type { CertifyRequest, PageOptions, WorkerMessage } from './worker.ts';

// The build puts them in; see bench/bundle.ts.
declare const VERSION: string;
declare const STORED_RESULTS: readonly BenchResult[];
/** Versions of the libraries that lie beside the page; none in most builds. */
declare const PEERS: Readonly<Record<string, string>>;

const controls = byId('controls', HTMLFormElement);
const filter = byId('filter', HTMLInputElement);
const seconds = byId('seconds', HTMLInputElement);
const peers = byId('with-peers', HTMLInputElement);
const runButton = byId('run', HTMLButtonElement);
const stopButton = byId('stop', HTMLButtonElement);
const certifyButton = byId('certify', HTMLButtonElement);
const progressBar = byId('bar', HTMLProgressElement);
const status = byId('status', HTMLElement);
const stored = byId('stored', HTMLSelectElement);

/** What a run has given so far, of all libraries. */
interface Run {
  readonly withPeers: boolean;
  adapter: string;
  peaks: Peaks | undefined;
  cases: readonly { readonly op: string; readonly shape: string }[];
  libraries: readonly string[];
  /** Pairs of case and library that are over, measured or not. */
  steps: number;
  readonly rows: Row[];
  readonly failures: Failure[];
}

const emptyRun = (withPeers: boolean): Run => ({
  withPeers,
  adapter: '',
  peaks: undefined,
  cases: [],
  libraries: [],
  steps: 0,
  rows: [],
  failures: [],
});
let run = emptyRun(false);
let certified: { readonly certificate: Certificate; readonly text: string } | undefined;
let worker = newWorker();
/** Where the libraries of a comparison were measured, other than an index into the stored results. */
const THIS_RUN = 'this run';

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
  else if (message.kind === 'certifying') {
    progressBar.max = message.all;
    progressBar.value = message.done;
    status.textContent = `${message.what}: ${message.done} of ${message.all}`;
  } else if (message.kind === 'certificate') {
    certified = message;
    byId('certificate', HTMLElement).textContent = message.text;
    byId('certified', HTMLElement).hidden = false;
  } else draw(message);
}

function draw(event: SuiteEvent): void {
  if (event.kind === 'adapter') {
    run.adapter = event.adapter;
    byId('adapter-name', HTMLElement).textContent = event.adapter;
    byId('facts', HTMLElement).replaceChildren(
      ...facts([
        ['tier', String(event.tier)],
        ['times by', event.timesBy],
      ]),
    );
    byId('adapter', HTMLElement).hidden = false;
    const same = [...stored.options].find(
      ({ value }) => STORED_RESULTS[Number(value)]?.adapter === event.adapter,
    );
    if (same && !run.withPeers) same.selected = true;
    status.textContent = 'Measuring the peaks of this adapter';
  } else if (event.kind === 'peaks') {
    run.peaks = event.peaks;
    run.cases = event.cases;
    run.libraries = event.libraries;
    byId('facts', HTMLElement).prepend(...peakFacts(event.peaks));
    byId('results', HTMLElement).hidden = false;
    progressBar.max = event.cases.length * event.libraries.length;
    drawProgress();
  } else if (event.kind === 'lack') {
    run.steps++;
    drawProgress();
  } else if (run.peaks) {
    const { result } = event;
    // The other libraries are not asked for a case that we cannot do.
    run.steps += isOurs(result) && 'reason' in result ? run.libraries.length : 1;
    if ('reason' in result) run.failures.push(result);
    else run.rows.push(result);
    if (isOurs(result)) {
      byId('rows', HTMLElement).append(tableRow(result, run.peaks));
      drawNotices(notices(run.failures.filter(isOurs)));
    }
    drawProgress();
    drawComparison();
  }
}

const measured = (): number => run.rows.filter(isOurs).length;

function drawProgress(): void {
  progressBar.value = run.steps;
  const count = Math.floor(run.steps / run.libraries.length);
  const next = run.cases[count];
  const library = run.withPeers ? ` in ${run.libraries[run.steps % run.libraries.length]}` : '';
  if (next) status.textContent = `${count + 1} of ${run.cases.length}: ${next.op} ${next.shape}${library}`;
}

function drawNotices(sentences: readonly string[]): void {
  byId('notices', HTMLElement).replaceChildren(...sentences.map((sentence) => element('p', '', sentence)));
}

function drawComparison(): void {
  const chosen = stored.value === THIS_RUN ? undefined : STORED_RESULTS[Number(stored.value)];
  const groups = chosen || run.withPeers ? comparison(run, chosen) : [];
  byId('peers', HTMLElement).replaceChildren(...groups);
  byId('comparison', HTMLElement).hidden = groups.length === 0;
}

function begin(options: PageOptions): void {
  run = emptyRun(options.peers);
  offerStored();
  ask(options);
}

/** Clears the page and has the worker begin. */
function ask(request: PageOptions | CertifyRequest): void {
  for (const id of ['adapter', 'certified', 'results', 'comparison']) byId(id, HTMLElement).hidden = true;
  byId('rows', HTMLElement).replaceChildren();
  drawNotices([]);
  byId('copied', HTMLElement).textContent = '';
  progressBar.removeAttribute('value');
  status.textContent = 'Opening the GPU';
  showRunning(true);
  worker.postMessage(request);
}

function showRunning(running: boolean): void {
  byId('progress', HTMLElement).hidden = false;
  progressBar.hidden = !running;
  runButton.hidden = running;
  certifyButton.hidden = running;
  stopButton.hidden = !running;
}

/** Ends a run, early when there is a reason; what it measured stays. */
function end(reason?: string): void {
  showRunning(false);
  status.textContent = run.cases.length === 0 ? '' : `${measured()} of ${run.cases.length} cases measured`;
  drawNotices([...(reason ? [reason] : []), ...notices(run.failures.filter(isOurs))]);
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
    versions: { 'ps3-webgpu': VERSION, ...(run.withPeers ? PEERS : {}) },
    date: new Date().toISOString(),
    peaks: run.peaks,
    rows: run.rows,
    failures: run.failures,
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

function download(name: string, text: string): void {
  const type = name.endsWith('.json') ? 'application/json' : 'text/plain';
  const url = URL.createObjectURL(new Blob([text], { type }));
  Object.assign(element('a', ''), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function certifyDevice(): Promise<void> {
  run = emptyRun(false);
  const runtime = await runtimeName();
  ask({ certify: { runtime, versions: { 'ps3-webgpu': VERSION } } });
}

/** The results that have other libraries: this run's, if it asked for them, and stored ones. */
function offerStored(): void {
  const option = (label: string, value: string): HTMLElement =>
    Object.assign(element('option', '', label), { value });
  stored.replaceChildren(
    ...(run.withPeers ? [option('this adapter, in this run', THIS_RUN)] : []),
    ...STORED_RESULTS.flatMap(({ adapter, runtime, date, rows }, index) =>
      rows.every(isOurs) ? [] : option(`${adapter}, ${runtime}, ${date.slice(0, 10)}`, String(index)),
    ),
  );
}

controls.onsubmit = (event) => {
  event.preventDefault();
  const quick = new FormData(controls).get('suite') === 'quick';
  begin({
    quick,
    filter: filter.value.trim() || undefined,
    seconds: seconds.valueAsNumber,
    peers: peers.checked,
  });
};
controls.onchange = ({ target }) => {
  if (target instanceof HTMLInputElement && target.name === 'suite')
    seconds.value = target.value === 'quick' ? '0.5' : '2';
};
stopButton.onclick = () => end();
stored.onchange = drawComparison;
byId('copy', HTMLElement).onclick = copyResult;
byId('download', HTMLElement).onclick = async () => download('bench.json', await resultText());
certifyButton.onclick = certifyDevice;
byId('certificate-json', HTMLElement).onclick = () =>
  download('device.json', `${JSON.stringify(certified?.certificate, undefined, 1)}\n`);
byId('certificate-text', HTMLElement).onclick = () => download('device.txt', certified?.text ?? '');
offerStored();
byId('peers-choice', HTMLElement).hidden = Object.keys(PEERS).length === 0;
const why = obstacle();
if (why) {
  runButton.disabled = certifyButton.disabled = true;
  drawNotices([why]);
}
