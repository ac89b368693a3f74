// The page: asks the worker to load a checkpoint and to look at an image, or to answer about it, and draws what it answers.
import { planLooks } from '../../model/vision/look_plan.ts';
import { AnswersCard } from './answers_card.ts';
import { ModelWorker } from './asking.ts';
import { CaptionsCard } from './captions_card.ts';
import { CheckpointCard } from './checkpoint_card.ts';
import { counted, showAnswered, showGlance, showLook, showLowRes, showTotals } from './counters.ts';
import { cropsOf } from './crops.ts';
import { droppedFiles, pastedImage, sortedOut } from './dropped.ts';
import { byId, element } from './elements.ts';
import type { Answer, ModelFacts, Region } from './messages.ts';
import { notice, obstacle } from './notices.ts';
import type { Offers, SampleImage } from './offers.ts';
import { Seen } from './seen.ts';
import { shownBitmap, Viewer } from './viewer.ts';

// The build puts it in; see build.ts.
declare const OFFERS: Offers;

/** What fits an image: prompts, or questions. */
type Suggestions = Pick<SampleImage, 'captions' | 'questions'>;

const prompt = byId('prompt', HTMLInputElement);
const budget = byId('budget', HTMLInputElement);
const goButton = byId('go', HTMLButtonElement);
const stopButton = byId('stop', HTMLButtonElement);
const view = byId('view', HTMLCanvasElement);

let model: ModelFacts | undefined;
let image: { readonly file: Blob; readonly suggestions: Suggestions } | undefined;
/** Whether the worker holds the image, ready to be looked at. */
let isRead = false;
let looksDone = 0;
let elapsedMs = 0;

const worker = new ModelWorker(receive);
const seen: Seen = new Seen(() => viewer.redraw());
const viewer: Viewer = new Viewer(view, {
  overlay: (context, place) => seen.draw(context, place),
  onRegion: (region) => {
    if (!model?.answers) lookAtRegion(region);
  },
});
const captionsCard = new CaptionsCard((captions) => {
  if (isRead) worker.ask({ kind: 'compare', captions });
});
const answersCard = new AnswersCard();
const checkpoint = new CheckpointCard({
  offered: OFFERS.models,
  onLoad: (request) => {
    forgetModel();
    say('load');
    worker.ask(request);
  },
  onCancel: () => {
    worker.ask({ kind: 'stop' });
    checkpoint.choose();
  },
  onFault: (sentence) => say('load', sentence),
});

function receive(answer: Answer): void {
  if (answer.kind === 'progress') checkpoint.progress(answer.doneBytes, answer.allBytes);
  else if (answer.kind === 'loaded') showModel(answer.facts);
  else if (answer.kind === 'read') {
    isRead = true;
    showBusy(false);
    if (answer.glance) showGlance(answer.glance);
    start();
  } else if (answer.kind === 'maps') showMaps(answer);
  else if (answer.kind === 'look') {
    looksDone = answer.index;
    elapsedMs += answer.ms;
    seen.showLook(answer.taken);
    showLook(answer);
    showProgress();
  } else if (answer.kind === 'seen') {
    if (answer.maps) seen.showMaps(answer.maps);
    seen.showLook(answer.taken);
    answersCard.looked(viewer.image ? cropsOf(viewer.image, seen.patches) : []);
  } else if (answer.kind === 'token') answersCard.token(answer);
  else if (answer.kind === 'answered') {
    showAnswered(answer, seen.patches);
    showBusy(false);
  } else if (answer.kind === 'compared') captionsCard.answer(answer.probabilities);
  else if (answer.kind === 'error') showError(answer);
  else showBusy(false);
}

// What is wrong, a sentence for each part of the page

const wrong = new Map<'page' | 'load' | 'image' | 'look', string>();

function say(part: 'page' | 'load' | 'image' | 'look', sentence?: string): void {
  if (sentence) wrong.set(part, sentence);
  else wrong.delete(part);
  byId('notices', HTMLElement).replaceChildren(...[...wrong.values()].map((one) => element('p', '', one)));
  if (sentence) byId('notices', HTMLElement).scrollIntoView({ block: 'nearest' });
}

function showError({ during, code, message }: Answer & { kind: 'error' }): void {
  const part = during === 'load' || code === 'device-lost' ? 'load' : during === 'image' ? 'image' : 'look';
  say(part, notice(during, code, message));
  showBusy(false);
  if (part !== 'load') return;
  forgetModel();
  checkpoint.choose();
}

// The checkpoint

function forgetModel(): void {
  model = undefined;
  isRead = false;
  showBusy(false);
  seen.clear(undefined);
  budget.disabled = true;
  byId('counters', HTMLElement).hidden = true;
  captionsCard.show(false);
  answersCard.clear();
}

function showModel(facts: ModelFacts): void {
  model = facts;
  checkpoint.loaded(facts);
  seen.clear(facts);
  budget.max = String(facts.grids.slice(1).reduce((sum, [Y, X]) => sum + Y * X, 0));
  budget.value = String(facts.patches);
  budget.disabled = budget.max === '0';
  showBudget();
  const options = (facts.words ?? []).map((word) => Object.assign(element('option', ''), { value: word }));
  byId('words', HTMLDataListElement).replaceChildren(...options);
  showWords(facts.answers ? WORDS.ask : WORDS.look);
  byId('tools', HTMLElement).hidden = facts.answers;
  byId('costs', HTMLElement).hidden = facts.answers;
  if (facts.answers) lookAtRegion(undefined);
  showTool();
  offerSamples();
  suggest();
  readImage();
}

/** What the form that asks for looks is called, and its parts. */
const WORDS = {
  look: { heading: 'Look', field: 'Prompt', empty: 'empty: what stands out' },
  ask: { heading: 'Ask', field: 'Question', empty: 'about the image' },
} as const;

function showWords({ heading, field, empty }: (typeof WORDS)[keyof typeof WORDS]): void {
  byId('look-heading', HTMLElement).textContent = heading;
  byId('prompt-label', HTMLElement).textContent = field;
  prompt.placeholder = empty;
  goButton.textContent = heading;
}

// The image

async function open(
  file: Blob,
  name: string,
  suggestions: Suggestions = { captions: [], questions: [] },
): Promise<void> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await shownBitmap(file);
  } catch {
    say(
      'image',
      `${name} must be an image that this browser can show, got something else. Choose a JPEG, PNG, WebP, AVIF or GIF file.`,
    );
    return;
  }
  say('image');
  image = { file, suggestions };
  isRead = false;
  seen.region = undefined;
  showRegion();
  seen.clear(model);
  byId('counters', HTMLElement).hidden = true;
  byId('hint', HTMLElement).hidden = true;
  byId('image-name', HTMLElement).textContent = `${name}, ${bitmap.width} × ${bitmap.height} px`;
  view.setAttribute('aria-label', `Image ${name}`);
  answersCard.clear();
  suggest();
  viewer.show(bitmap);
  readImage();
}

/** Hands the image to the worker, once there are an image and a model. */
function readImage(): void {
  if (!model || !image) return;
  showBusy(true);
  worker.ask({ kind: 'image', file: image.file });
}

/** Prompts or questions that fit the image, to click on. */
function suggest(): void {
  const { captions, questions } = image?.suggestions ?? { captions: [], questions: [] };
  const chips = (model?.answers ? questions : captions).map((text) => {
    const chip = Object.assign(element('button', 'chip', text), { type: 'button' });
    chip.onclick = () => {
      prompt.value = text;
      lookAtRegion(undefined);
    };
    return chip;
  });
  byId('suggestions', HTMLElement).replaceChildren(...chips);
  byId('suggestions', HTMLElement).hidden = chips.length === 0;
  captionsCard.propose(captions);
}

/** Images that suit the model: to ask about, or to look at. */
function offerSamples(): void {
  const fits = (sample: SampleImage): boolean =>
    (model?.answers ? sample.questions : sample.captions).length > 0;
  const buttons = OFFERS.samples.filter(fits).map((sample, i) => {
    const { file, thumbnail, captions, questions } = sample;
    const image = Object.assign(element('img', ''), {
      src: thumbnail,
      alt: `Sample ${i + 1}: ${[...captions, ...questions].join(', ')}`,
    });
    const button = Object.assign(element('button', 'sample', image), { type: 'button' });
    button.onclick = async () => open(await (await fetch(file)).blob(), `Sample ${i + 1}`, sample);
    return button;
  });
  byId('samples', HTMLElement).replaceChildren(...buttons);
  byId('samples', HTMLElement).hidden = buttons.length === 0;
}

// Looking and asking

function start(): void {
  const text = prompt.value.trim();
  if (!model || !isRead || (model.answers && text === '')) return;
  say('look');
  const { region } = seen;
  seen.clear(model);
  looksDone = 0;
  elapsedMs = 0;
  byId('prompt-note', HTMLElement).textContent = '';
  showBusy(true);
  if (model.answers) {
    answersCard.ask(text);
    worker.ask({ kind: 'ask', question: text, tokens: budget.valueAsNumber });
    return;
  }
  const query = region ? { region } : { prompt: text || undefined };
  worker.ask({ kind: 'look', ...query, tokens: budget.valueAsNumber });
}

function lookAtRegion(region: Region | undefined): void {
  seen.region = region;
  showRegion();
  viewer.redraw();
  start();
}

function showMaps(answer: Answer & { kind: 'maps' }): void {
  if (!model) return;
  elapsedMs = answer.ms;
  seen.showMaps(answer.maps);
  showLowRes(model, answer);
  showProgress();
  captionsCard.show(true);
  const unknown = answer.unknown.map((word) => `“${word}”`).join(', ');
  if (unknown)
    byId('prompt-note', HTMLElement).textContent =
      `This checkpoint was not trained with ${unknown}, so the map means little. It knows ${model.words?.length ?? 0} words; the field offers them.`;
}

function showProgress(): void {
  if (!model) return;
  showTotals(model, seen.patches, looksDone, elapsedMs);
  byId('status', HTMLElement).textContent = looksDone === 0 ? 'Low-res pass done' : `Look ${looksDone} done`;
}

function showBusy(isBusy: boolean): void {
  if (!isBusy) answersCard.ended();
  const canLook = model !== undefined && image !== undefined;
  goButton.disabled = !canLook;
  byId('main', HTMLElement).classList.toggle('ready', canLook);
  byId('main', HTMLElement).classList.toggle('asks', model?.answers ?? false);
  goButton.hidden = isBusy && canLook;
  stopButton.hidden = !(isBusy && canLook);
  byId('frame', HTMLElement).classList.toggle('busy', isBusy && canLook);
}

function showBudget(): void {
  if (!model) return;
  const text = byId('budget-text', HTMLOutputElement);
  text.textContent = 'all of the image';
  if (budget.disabled) return;
  const tokens = budget.valueAsNumber;
  const looks = planLooks(model.budgets, model.grids.slice(1), { tokens }).length;
  text.textContent = `${counted(tokens)} of ${counted(Number(budget.max))} patches, ${looks} ${looks === 1 ? 'look' : 'looks'}`;
}

function showRegion(): void {
  const { region } = seen;
  byId('region', HTMLElement).hidden = !region;
  if (!region) return;
  const numbers = 'box' in region ? region.box : region.point;
  const percents = numbers.map((fraction) => `${Math.round(100 * fraction)} %`).join(', ');
  byId('region-text', HTMLElement).textContent =
    `Instead of the prompt: ${'box' in region ? 'box' : 'point'} ${percents}`;
}

/** Regions are for a PS3. */
function showTool(): void {
  viewer.tool = !model?.answers && byId('mark', HTMLInputElement).checked ? 'mark' : 'move';
  viewer.toolChanged();
}

// Controls

byId('look', HTMLFormElement).onsubmit = (event) => {
  event.preventDefault();
  lookAtRegion(undefined);
};
stopButton.onclick = () => worker.ask({ kind: 'stop' });
byId('clear-region', HTMLElement).onclick = () => lookAtRegion(undefined);
budget.oninput = showBudget;
budget.onchange = start;
byId('image-file', HTMLInputElement).onchange = ({ currentTarget }) => {
  const input = currentTarget as HTMLInputElement;
  const [file] = input.files ?? [];
  if (file) open(file, file.name);
  input.value = '';
};
byId('zoom-in', HTMLElement).onclick = () => viewer.zoomBy(1.5);
byId('zoom-out', HTMLElement).onclick = () => viewer.zoomBy(1 / 1.5);
byId('zoom-fit', HTMLElement).onclick = () => viewer.fit();
byId('tools', HTMLElement).onchange = showTool;
document.onpaste = (event) => {
  const pasted = pastedImage(event);
  if (pasted) open(pasted, 'Pasted image');
};
document.ondragover = (event) => event.preventDefault();
document.ondrop = async (event) => {
  event.preventDefault();
  const dropped = event.dataTransfer && sortedOut(await droppedFiles(event.dataTransfer));
  if (dropped && 'checkpoint' in dropped) checkpoint.load(dropped.checkpoint);
  else if (dropped) open(dropped.image, dropped.image.name);
};

offerSamples();
const why = obstacle();
if (why) {
  say('page', why);
  for (const control of byId('checkpoint', HTMLFormElement).elements)
    (control as HTMLButtonElement).disabled = true;
}
