// The catalogue of things that Scenes shows and names.
//
// An object is an emoji that every drawing style has, matched by code point and named by emojibase's label,
// or a captioned stamp; equal names are one concept, so a drawn and a photographed pineapple are the same
// thing. A sign is a word in several fonts. People, faces, symbols, flags, clock times and whole landscapes
// are left out. A card is coloured and shows a thing, for questions that name the colour.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FontFile } from './packages.ts';
import type { EmojiSource, Sources } from './sources.ts';

/** One appearance of a concept. */
export type Look =
  | { kind: 'svg'; style: string; svg: string }
  | { kind: 'file'; style: string; path: string }
  | { kind: 'sign'; style: string; word: string; fontPath: string };

/** A thing with a name and at least one appearance. */
export interface Concept {
  /** The caption: lower case, no article, no full stop. */
  name: string;
  /** Signs and cards stand upright. */
  kind: 'object' | 'sign' | 'card';
  looks: Look[];
}

interface IconSet {
  icons: Record<string, { body: string; width?: number; height?: number; left?: number; top?: number }>;
  aliases?: Record<string, { parent: string }>;
  width?: number;
  height?: number;
}

interface EmojiLabel {
  label: string;
  hexcode: string;
  group?: number;
}

/** emojibase groups: animals and nature, food and drink, travel and places, activities, objects. */
const OBJECT_GROUPS = [3, 4, 5, 6, 7];

/** Labels that name no single object: times, phases, images of landscapes, marks, cards. */
const NO_OBJECT = new RegExp(
  [
    'o’clock|-thirty|quarter moon|(new|full|crescent|gibbous) moon|moon viewing|map of|globe|suit$|speaker|chart|calendar',
    '^(foggy|night with stars|cityscape|cityscape at dusk|sunrise|sunrise over mountains|sunset|bridge at night|fog)$',
    '^(milky way|wind face|leaf fluttering in wind|cyclone|tornado|dashing away|hot springs|water wave|sparkles|fireworks|sparkler|landslide)$',
    '^(level slider|control knobs|high voltage|musical notes?|bookmark|label|receipt|construction|bus stop|ice)$',
    '^(camping|beach with umbrella|desert|desert island|national park|mount fuji|mountain|volcano|rainbow)$',
    '^(\\d.. place medal|love hotel|.*post office|placard|x-ray|petri dish|microbe|bubbles|pouring liquid)$',
    '^(hammer and .*|locked with .*|.*with arrow|.*banknote|money with wings|broken chain|performing arts)$',
    'cloud|ticket|envelope|tray|railway track|motorway|station|kaaba|hamsa|paw prints',
  ].join('|'),
);

/** Spelling of near-synonyms, so that two drawings of one thing are one concept. */
const SAME_THING: [RegExp, string][] = [
  [/ face$/, ''],
  [/^oncoming /, ''],
  [/^front-facing /, ''],
  [/ tilted (left|right)$/, ''],
  [/ (not )?done$/, ''],
  [/ without snow$/, ''],
  [/ with flash$/, ''],
  [/ with (curl|garden|decorative cover|rain drops)$/, ''],
  [/ on ground$/, ''],
  [/^closed umbrella$/, 'umbrella'],
  [/^(closed|open) mailbox.*$/, 'mailbox'],
  [/ facing up$/, ''],
  [/^rolled-up /, ''],
  [/^linked paperclips$/, 'paperclip'],
  [/^(clinking) /, ''],
  [/^new /, ''],
  [/^sun with$/, 'sun'],
  [/^optical disk$/, 'dvd'],
];

/** Things a person tells apart at 32 pixels; small presets take theirs from here. */
export const PLAIN_CONCEPTS: readonly string[] = (
  'airplane,anchor,balloon,banana,bell,bicycle,broccoli,butterfly,cactus,candle,carrot,cat,cheese wedge,cherries,' +
  'crab,crown,doughnut,dress,elephant,fire,fish,frog,grapes,guitar,hamburger,hammer,hot dog,house,key,ladder,' +
  'lemon,light bulb,lion,mushroom,octopus,owl,panda,penguin,pizza,red apple,ring,rocket,rose,sailboat,scissors,snail,' +
  'snowman,soccer ball,strawberry,sunflower,teapot,tractor,trophy,trumpet,turtle,umbrella,violin,watch,watermelon,zebra'
).split(',');

const WORDS: readonly string[] = (
  'open,closed,bakery,coffee,garden,hotel,market,museum,music,north,south,east,west,exit,garage,harbour,island,' +
  'kitchen,library,lemon,moon,office,orange,paper,parking,pepper,river,school,silver,station,street,summer,' +
  'theatre,tiger,tunnel,valley,velvet,village,water,window,winter,yellow,bridge,castle,forest,ocean,planet,rocket'
).split(',');

/** A caption without article, full stop and capitals: `A koala.` becomes `koala`. */
export function normaliseName(caption: string): string {
  const plain = caption
    .trim()
    .toLowerCase()
    .replace(/[.!]+$/, '')
    .replace(/^(an?|the|some) /, '')
    .replace(/^(pair|bunch|cluster|couple) of /, '')
    .replace(/’/g, "'");
  return SAME_THING.reduce((name, [pattern, other]) => name.replace(pattern, other), plain);
}

/** An icon of an Iconify set as a standalone SVG; undefined when the set lacks it. */
function iconSvg(set: IconSet, name: string): string | undefined {
  const icon = set.icons[name] ?? set.icons[set.aliases?.[name]?.parent ?? ''];
  if (icon === undefined) return undefined;
  const width = icon.width ?? set.width ?? 16;
  const height = icon.height ?? set.height ?? 16;
  const viewBox = `${icon.left ?? 0} ${icon.top ?? 0} ${width} ${height}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" viewBox="${viewBox}">${icon.body}</svg>`;
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

function addLook(looks: Map<string, Look[]>, name: string, look: Look): void {
  const known = looks.get(name);
  if (known) known.push(look);
  else looks.set(name, [look]);
}

function addEmoji(looks: Map<string, Look[]>, labelsPath: string, styles: readonly EmojiSource[]): void {
  const sets = styles.map(({ style, root }) => ({
    style,
    icons: readJson<IconSet>(join(root, 'icons.json')),
    byCode: readJson<Record<string, string>>(join(root, 'chars.json')),
  }));
  for (const { label, hexcode, group } of readJson<EmojiLabel[]>(labelsPath)) {
    if (group === undefined || !OBJECT_GROUPS.includes(group) || NO_OBJECT.test(label)) continue;
    const code = hexcode.toLowerCase().replace(/-fe0f/g, '');
    const drawn: Look[] = [];
    for (const { style, icons, byCode } of sets) {
      const svg = iconSvg(icons, byCode[code] ?? '');
      if (svg !== undefined) drawn.push({ kind: 'svg', style, svg });
    }
    if (drawn.length < sets.length) continue;
    for (const look of drawn) addLook(looks, normaliseName(label), look);
  }
}

function addStamps(looks: Map<string, Look[]>, root: string): void {
  const folders = readdirSync(root).filter((folder) => folder !== 'symbols');
  for (const folder of folders.sort()) {
    const entries = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).sort();
    for (const entry of entries) {
      if (!entry.endsWith('.txt') || /flags|roadsigns/.test(entry)) continue;
      const stem = join(root, folder, entry.slice(0, -'.txt'.length));
      const path = ['.png', '.svg'].map((suffix) => stem + suffix).find((file) => existsSync(file));
      const caption = readFileSync(`${stem}.txt`, 'utf8').split('\n')[0];
      const name = normaliseName(caption);
      // Long captions are jokes and facts ("Watch out, it is ..."), not names.
      if (path === undefined || name === '' || name.split(' ').length > 4 || /[,:;?!.()=—]/.test(name))
        continue;
      addLook(looks, name, { kind: 'file', style: 'stamp', path });
    }
  }
}

function addSigns(concepts: Concept[], fonts: readonly FontFile[]): void {
  for (const word of WORDS) {
    const looks = fonts.map((font): Look => ({ kind: 'sign', style: font.name, word, fontPath: font.path }));
    if (looks.length > 0) concepts.push({ name: `sign ${word}`, kind: 'sign', looks });
  }
}

/** Every concept of the sources, objects first, each kind in alphabetical order. A concept's number is its index. */
export function openCatalogue(sources: Sources): Concept[] {
  const looks = new Map<string, Look[]>();
  addEmoji(looks, sources.emojiLabels, sources.emoji);
  if (sources.stamps !== undefined) addStamps(looks, sources.stamps);
  const names = [...looks.keys()].sort();
  const concepts = names.map((name): Concept => ({ name, kind: 'object', looks: looks.get(name) ?? [] }));
  addSigns(concepts, sources.fonts);
  return concepts;
}

/** What stands among styles for cards, whose drawings have styles of their own. */
export const CARD_STYLE = 'cards';

/** Colours of cards, as sRGB, told from each other in any light of a scene. */
export const CARD_COLOURS: Readonly<Record<string, string>> = {
  red: '#d3202f',
  orange: '#f58a07',
  yellow: '#f7d917',
  green: '#1f8f3a',
  blue: '#1f5fd0',
  purple: '#7d2bc0',
  pink: '#ff86bd',
  black: '#16161a',
};

/** What cards show, told apart at 40 pixels; nano-4k knows all of them. */
export const CARD_THINGS: readonly string[] =
  'bell,bicycle,cactus,cat,crab,elephant,frog,hamburger,house,lemon,mushroom,octopus,penguin,rocket,teapot,zebra'.split(
    ',',
  );

/**
 * A card of every colour and thing: `red key` is a key in a white disc on red.
 *
 * @param catalogue  of all sources; the first drawing of a thing is taken
 */
export function cardCatalogue(catalogue: readonly Concept[]): Concept[] {
  const drawings = CARD_THINGS.map((thing) => {
    const looks = catalogue.find(({ name }) => name === thing)?.looks ?? [];
    return looks.find((look) => look.kind === 'svg')!;
  });
  return Object.entries(CARD_COLOURS).flatMap(([colour, code]) =>
    CARD_THINGS.map((thing, i): Concept => {
      const drawing = drawings[i].svg.replace(
        / width="[^"]*" height="[^"]*"/,
        ' x="23" y="23" width="54" height="54"',
      );
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100" viewBox="0 0 100 100"><rect width="100" height="100" rx="9" fill="${code}"/><circle cx="50" cy="50" r="38" fill="#fff"/>${drawing}</svg>`;
      const looks: Look[] = [{ kind: 'svg', style: drawings[i].style, svg }];
      return { name: `${colour} ${thing}`, kind: 'card', looks };
    }),
  );
}
