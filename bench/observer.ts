// node --import ./engine/wgsl_loader.mjs --import tsx bench/observer.ts
//
// Psychometric curves of the ideal observer of ps3/benchmarks/build: texts by the height of their capitals, drawn objects by their shorter
// side. Writes bench/results/detail-4k/ideal-observer.json and prints a table.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GlobalFonts, type Image, loadImage } from '@napi-rs/canvas';
import { Random } from '../engine/index.ts';
import { confusables, optionsOf } from '../ps3/benchmarks/build/confusable.ts';
import {
  ALTERNATIVES,
  leastSize,
  observed,
  type Stimulus,
  TOLD_APART,
} from '../ps3/benchmarks/build/ideal_observer.ts';
import { openCatalogue, PLAIN_CONCEPTS } from '../ps3/data/concepts.ts';
import { openMaterial } from '../ps3/data/generators/material.ts';
import { openSources } from '../ps3/data/sources.ts';

/** Of each exposure. */
const TRIALS = 80;
/** Exposures: what a camera does is drawn anew for each. */
const SEEDS = [1, 2, 3, 4, 5, 6];
/** Pixels of the image for one of the view: the image itself, and what 3780 px are at 1512 px. */
const REDUCTIONS = [1, 2.5] as const;
const SIZES = {
  text: [1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8],
  objects: [1, 1.5, 2, 3, 4, 5, 6, 8, 10, 14],
} as const;

/** Strings of five figures whose three wrong options differ in one or two confusable ones. */
function texts(family: string): Stimulus {
  const random = new Random(1, 7);
  const trials = Array.from({ length: TRIALS }, () => {
    for (;;) {
      const text = String(10000 + random.integer(90000));
      const asked = confusables(text).length > 1 ? optionsOf(text, [], random) : undefined;
      if (asked) return asked.options;
    }
  });
  return {
    cellPx: (cap) => [cap * 5, cap * 1.2],
    draw: (context, trial, option, cap) => {
      // Capitals of the family are this part of its size.
      context.font = `100px "${family}"`;
      const part = context.measureText('8').actualBoundingBoxAscent / 100;
      context.font = `${cap / part}px "${family}"`;
      context.fillStyle = '#202428';
      context.fillText(trials[trial][option], 0, cap * 1.1);
    },
  };
}

/** Drawn objects of one style, four different ones a trial. */
function objects(images: readonly Image[]): Stimulus {
  const random = new Random(1, 9);
  const trials = Array.from({ length: TRIALS }, () => random.shuffle(images.slice()).slice(0, ALTERNATIVES));
  return {
    cellPx: (side) => [side, side],
    draw: (context, trial, option, side) => {
      context.imageSmoothingQuality = 'high';
      context.drawImage(trials[trial][option], 0, 0, side, side);
    },
  };
}

const notice = (line: string): void => console.error(line);
const { fonts } = await openMaterial('heldOut', notice);
const [font] = fonts.screen;
GlobalFonts.registerFromPath(font.path, font.name);
const catalogue = openCatalogue(await openSources({ photos: 'generated', notice }));
const images: Image[] = [];
for (const { name, looks } of catalogue) {
  const look = looks.find(({ kind, style }) => kind === 'svg' && style === 'noto');
  if (PLAIN_CONCEPTS.includes(name) && look?.kind === 'svg')
    images.push(await loadImage(Buffer.from(look.svg)));
}
const stimuli = { text: texts(font.name), objects: objects(images) };
const results: {
  stimulus: string;
  reduction: number;
  curve: [number, number][];
  leastPx: number | undefined;
}[] = [];
for (const [name, stimulus] of Object.entries(stimuli))
  for (const reduction of REDUCTIONS) {
    const curve: [number, number][] = [];
    for (const size of SIZES[name as keyof typeof SIZES]) {
      const shares: number[] = [];
      for (const seed of SEEDS)
        shares.push(await observed(stimulus, size, { reduction, trials: TRIALS, seed }));
      curve.push([size, shares.reduce((a, b) => a + b, 0) / SEEDS.length]);
    }
    const leastPx = leastSize(curve);
    results.push({ stimulus: name, reduction, curve, leastPx });
    console.log(
      `${name}, reduced ${reduction} times: ${curve.map(([size, share]) => `${size} px ${(100 * share).toFixed(0)} %`).join(', ')}; ${100 * TOLD_APART} % at ${leastPx?.toFixed(1)} px`,
    );
  }
const path = join(dirname(fileURLToPath(import.meta.url)), 'results', 'detail-4k', 'ideal-observer.json');
writeFileSync(
  path,
  `${JSON.stringify({ trials: TRIALS * SEEDS.length, exposures: SEEDS.length, font: font.name, objects: images.length, results }, undefined, 1)}\n`,
);
