// Web pages: what a screen shows of them as images, where each word is, and what can be pressed, read and seen.
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import type { Box } from '../boxes.ts';
import { DataError } from '../errors.ts';
import type { Caption, Line, Word } from './words.ts';

/** A screen of a page. */
export interface Screen {
  /** PNG. */
  readonly image: Uint8Array;
  /** Words that are seen, by line, and these by paragraph, cell or label. */
  readonly blocks: readonly (readonly Line[])[];
  /** What is not text alone: buttons, links, fields, images, by their names and roles. */
  readonly elements: readonly Caption[];
  /** The same by their roles alone, also those without a name, and icons. */
  readonly kinds: readonly Caption[];
  /** Texts that answer a question, which the page's author has marked. */
  readonly facts: readonly PageFact[];
  /** The page's; empty where it has none. */
  readonly title: string;
  /** What it says of itself, for a page that draws a scene. */
  readonly shown: Shown | undefined;
}

/** What a page says that it shows: in the promise `globalThis.shown`, or element by element in attributes `data-caption`. */
export interface Shown {
  readonly facts: readonly PageFact[];
  readonly captions: readonly Caption[];
  /** Of the whole image. */
  readonly title: string;
}

/** A text of an element with the attributes `data-question` and `data-kind`. */
export interface PageFact extends Word {
  readonly question: string;
  /** Texts of one kind can be confused with each other. */
  readonly kind: string;
  /** Height of a capital letter, or of what must be told apart, pixels. */
  readonly capPx: number;
  /** Degrees clockwise by which the text is turned. */
  readonly turned?: 90;
  /** All that could be answered, where the answer is no text on the image. */
  readonly options?: readonly string[];
  /** Addresses of images of them that would cover its box, where an image tells them apart. */
  readonly images?: readonly string[];
}

/** Height of a capital letter below which nothing is asked: it is read, but not with ease. */
const LEAST_CAP_PX = 6;

/**
 * Facts that can be asked: large enough to be read, and of a question that has no other answer on the image.
 *
 * @param leastCapPx  height of a capital letter that is large enough
 */
export function askable(facts: readonly PageFact[], leastCapPx: number = LEAST_CAP_PX): PageFact[] {
  const count = (question: string): number => facts.filter((fact) => fact.question === question).length;
  return facts.filter(({ capPx, question }) => capPx >= leastCapPx && count(question) === 1);
}

/** How pages are shown. */
export interface ScreenOptions {
  /** Of a screen, pixels. */
  readonly width: number;
  readonly height: number;
  /** Screens of a page, from its top, at most. */
  readonly screens: number;
}

/** Where Chromium is looked for, unless the environment's CHROMIUM says where it is. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Scenes are drawn by SwiftShader, to the same pixels with and without a graphics card, and canvases without it, which is faster. */
const SOFTWARE_GL = [
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--disable-accelerated-2d-canvas',
];

/** What a page may take to load, and a scene to draw itself. */
const PATIENCE_MS = 300_000;

/** A browser that shows local pages and reaches nothing else. */
export class PageReader implements AsyncDisposable {
  readonly #browser: Browser;

  /** @throws DataError where playwright-core or Chromium is missing */
  static async open(): Promise<PageReader> {
    const { CHROMIUM } = process.env;
    const places = CHROMIUM === undefined ? PLACES : [CHROMIUM];
    const executablePath = places.find((place) => existsSync(place));
    const playwright = await import('playwright-core').catch(() => undefined);
    if (playwright === undefined || executablePath === undefined)
      throw new DataError(
        `PageReader.open: web pages need the npm package playwright-core and Chromium, got ${playwright ? `none at ${places.join(', ')}` : 'no playwright-core'}. Install it, or name Chromium in CHROMIUM.`,
      );
    const args = [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      ...SOFTWARE_GL,
    ];
    return new PageReader(await playwright.chromium.launch({ executablePath, args }));
  }

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  /**
   * Shows a page screen by screen, as it is without a network.
   *
   * @throws DataError when it does not open
   */
  async *screens(path: string, { width, height, screens }: ScreenOptions): AsyncGenerator<Screen> {
    const context = await this.#browser.newContext({
      viewport: { width, height },
      reducedMotion: 'reduce',
      offline: true,
    });
    try {
      const page = await context.newPage();
      // What the compiler of TypeScript leaves in functions that are sent to the page.
      await page.addInitScript('globalThis.__name ??= (named) => named;');
      await page
        .goto(pathToFileURL(path).href, { waitUntil: 'load', timeout: PATIENCE_MS })
        .catch((cause: Error) => {
          throw new DataError(
            `PageReader.screens: ${path} must open as a web page, got: ${cause.message.split('\n')[0]}. Mend or remove it.`,
          );
        });
      const title = (await page.title()).trim();
      const said = await page.evaluate(readShown);
      let top = 0;
      for (let i = 0; i < screens; i++) {
        const reached = await scroll(page, i * height);
        // The last screen would show the end of the one before again.
        if (i > 0 && reached < top + height / 2) return;
        top = reached;
        const { facts: marked, described, ...read } = await page.evaluate(readScreen);
        const shown =
          said ?? (described.length > 0 ? { facts: marked, captions: described, title } : undefined);
        const image = await page.screenshot({ animations: 'disabled', timeout: PATIENCE_MS });
        yield { image, ...read, facts: said?.facts ?? marked, title: said?.title ?? title, shown };
      }
    } finally {
      await context.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

/** A browser that is started when it is needed. */
export class LazyReader implements AsyncDisposable {
  #reader: PageReader | undefined;

  /** The same one every time. @throws as `PageReader.open` */
  async open(): Promise<PageReader> {
    this.#reader ??= await PageReader.open();
    return this.#reader;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader?.[Symbol.asyncDispose]();
  }
}

/** @returns  where the top of the screen is then, CSS pixels of the page */
const scroll = (page: Page, top: number): Promise<number> =>
  page.evaluate((top) => {
    scrollTo({ top, behavior: 'instant' });
    return scrollY;
  }, top);

/** Runs in the page: what it says of itself. */
const readShown = (): Promise<Shown> | undefined => (globalThis as { shown?: Promise<Shown> }).shown;

/** Runs in the page: everything whose middle is seen on the screen. */
function readScreen(): Pick<Screen, 'elements' | 'kinds' | 'facts'> & {
  blocks: Word[][][];
  described: Caption[];
} {
  const boxOf = ({ left, top, right, bottom }: DOMRect): [number, number, number, number] => [
    left,
    top,
    right,
    bottom,
  ];
  const frames = new Map<Element, Box | undefined>();
  /** What an element lets see of its content. */
  const frameOf = (element: Element): Box | undefined => {
    if (!frames.has(element)) {
      const { overflow, display } = getComputedStyle(element);
      const cuts = overflow !== 'visible' && display !== 'inline' && element !== document.body;
      frames.set(element, cuts ? boxOf(element.getBoundingClientRect()) : undefined);
    }
    return frames.get(element);
  };
  const isCut = ([x1, y1, x2, y2]: Box, element: Element): boolean => {
    for (let around: Element | null = element; around; around = around.parentElement) {
      const frame = frameOf(around);
      const [left, top, right, bottom] = frame ?? [x1, y1, x2, y2];
      if (x1 < left - 1 || y1 < top - 1 || x2 > right + 1 || y2 > bottom + 1) return true;
    }
    return false;
  };
  /** Whether nothing covers the middle of a box of an element or cuts it, and it is on the screen whole. */
  const isSeen = ([x1, y1, x2, y2]: Box, element: Element): boolean => {
    if (x1 < 0 || y1 < 0 || x2 > innerWidth || y2 > innerHeight || x2 - x1 < 1 || y2 - y1 < 1) return false;
    const { visibility, opacity, fontSize } = getComputedStyle(element);
    if (visibility !== 'visible' || Number(opacity) === 0 || parseFloat(fontSize) === 0) return false;
    if (isCut([x1, y1, x2, y2], element)) return false;
    const front = document.elementFromPoint((x1 + x2) / 2, (y1 + y2) / 2);
    return front !== null && (element.contains(front) || front.contains(element));
  };
  const blocks: Word[][][] = [];
  let before: { block: Element | null; box: Box } | undefined;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
    const element = node.parentElement;
    if (!element || /^(SCRIPT|STYLE|NOSCRIPT|TEMPLATE|TEXTAREA|OPTION)$/.test(element.tagName)) continue;
    let block: Element | null = element;
    while (block && getComputedStyle(block).display.startsWith('inline')) block = block.parentElement;
    for (const found of (node.nodeValue ?? '').matchAll(/\S+/g)) {
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      const rects = range.getClientRects();
      // A word that is broken over two lines is not one thing to look at.
      if (rects.length !== 1) continue;
      const box = boxOf(rects[0]);
      if (!isSeen(box, element)) continue;
      if (before?.block !== block) blocks.push([[]]);
      const lines = blocks[blocks.length - 1];
      const isSame =
        before?.block === block &&
        Math.abs(before.box[3] - box[3]) < 0.5 * (box[3] - box[1]) &&
        box[0] >= before.box[0];
      if (!isSame && lines[0].length > 0) lines.push([]);
      const line = lines[lines.length - 1];
      const last = line[line.length - 1];
      // Without a blank between, as at the border of a link, it is one word.
      if (last && box[0] - last.box[2] < 0.1 && found.index === 0) {
        const joined: Box = [
          last.box[0],
          Math.min(last.box[1], box[1]),
          box[2],
          Math.max(last.box[3], box[3]),
        ];
        line[line.length - 1] = { text: last.text + found[0], box: joined };
      } else line.push({ text: found[0], box });
      before = { block, box };
    }
  }
  const roles: [string, string][] = [
    ['button, [role=button], input[type=button], input[type=submit]', 'button'],
    ['a[href]', 'link'],
    ['input:not([type]), input[type=text], input[type=search], input[type=email], textarea', 'text field'],
    ['input[type=checkbox], [role=checkbox]', 'checkbox'],
    ['input[type=radio], [role=radio]', 'radio button'],
    ['select, [role=combobox]', 'list'],
    ['[role=tab]', 'tab'],
    ['img, [role=img]', 'image'],
    ['svg', 'icon'],
  ];
  const nameOf = (element: Element): string => {
    const labelled = element.getAttribute('aria-labelledby')?.split(/\s+/) ?? [];
    const labels = element instanceof HTMLInputElement ? [...(element.labels ?? [])] : [];
    const names = [
      labelled.map((id) => document.getElementById(id)?.textContent ?? '').join(' '),
      element.getAttribute('aria-label'),
      element.getAttribute('alt'),
      labels.map(({ textContent }) => textContent ?? '').join(' '),
      element.textContent,
      element.getAttribute('placeholder'),
      element.getAttribute('value'),
      element.getAttribute('title'),
    ];
    const name = names.find((name) => name?.trim()) ?? '';
    return name.replace(/\s+/g, ' ').trim();
  };
  const [elements, kinds]: Caption[][] = [[], []];
  for (const [selector, role] of roles)
    for (const element of document.querySelectorAll(selector)) {
      const box = boxOf(element.getBoundingClientRect());
      const isLarge = (box[2] - box[0]) * (box[3] - box[1]) > (innerWidth * innerHeight) / 4;
      if (isLarge || !isSeen(box, element)) continue;
      kinds.push({ text: role, box });
      const isImage = role === 'image' || role === 'icon';
      const name = nameOf(element);
      // Of images only what their authors say, not what stands in them.
      const isNamed = !isImage || element.hasAttribute('alt') || element.hasAttribute('aria-label');
      if (isNamed && /[\p{L}\p{N}]/u.test(name) && name.length <= 80)
        elements.push({ text: isImage ? name : `${name} ${role}`, box });
    }
  const canvas = document.createElement('canvas').getContext('2d')!;
  const facts = [...document.querySelectorAll<HTMLElement>('[data-question]')].flatMap(
    (element): PageFact[] => {
      const box = boxOf(element.getBoundingClientRect());
      if (element.getClientRects().length !== 1 || !isSeen(box, element)) return [];
      canvas.font = getComputedStyle(element).font;
      const capPx = canvas.measureText('H').actualBoundingBoxAscent;
      const { question = '', kind = '' } = element.dataset;
      return [{ text: element.textContent ?? '', box, question, kind, capPx }];
    },
  );
  const described = [...document.querySelectorAll<HTMLElement>('[data-caption]')].map((element): Caption => {
    // What belongs to it may reach beyond it.
    const rects = [element, ...element.querySelectorAll('*')].map((part) => part.getBoundingClientRect());
    const solid = rects.filter(({ width, height }) => width > 0 && height > 0);
    const box = boxOf(solid[0]);
    for (const { left, top, right, bottom } of element.clientWidth > 0 ? [] : solid) {
      box[0] = Math.min(box[0], left);
      box[1] = Math.min(box[1], top);
      box[2] = Math.max(box[2], right);
      box[3] = Math.max(box[3], bottom);
    }
    return { text: element.dataset.caption ?? '', box };
  });
  return { blocks, elements, kinds, facts, described };
}
