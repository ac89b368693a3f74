// Runs of `ps3 train` in a process of their own, to be ended by signals, and what they leave behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import type { Metric } from '../../ps3/train/metrics.ts';

const BIN = fileURLToPath(new URL('../../ps3/app/bin.mjs', import.meta.url));

/** 24 images of noise, each with a box and a caption. */
export async function writeNoise(folder: string): Promise<void> {
  const lines: string[] = [];
  for (let i = 0; i < 24; i++) {
    const pixels = Uint8Array.from({ length: 112 * 112 * 3 }, (_, at) => (at * (2 * i + 7) * 31) % 251);
    const raw = { width: 112, height: 112, channels: 3 } as const;
    await sharp(pixels, { raw })
      .png()
      .toFile(join(folder, `${i}.png`));
    const box = [[i, 2 * i, i + 30, 2 * i + 30]];
    lines.push(JSON.stringify({ image: `${i}.png`, text: [`noise ${i}`], box, global_text: 'noise' }));
  }
  await writeFile(join(folder, 'annotations.jsonl'), `${lines.join('\n')}\n`);
}

export interface Ended {
  readonly code: number | null;
  readonly err: string;
}

/** Starts `ps3 train` with some words. */
export function startTraining(...words: string[]): { process: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [BIN, 'train', ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
  let err = '';
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, err })));
  return { process: child, ended };
}

/** The number of whole lines of metrics.jsonl. */
export async function loggedSteps(run: string): Promise<number> {
  const text = await readFile(join(run, 'metrics.jsonl'), 'utf8').catch(() => '');
  return text.split('\n').length - 1;
}

/** metrics.jsonl without what a clock or the state of the machine decides. */
export async function decidedMetrics(run: string): Promise<string> {
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).split('\n');
  const decided = (line: string): string => {
    const { speed: _, ...metric } = JSON.parse(line) as Metric;
    return JSON.stringify(metric);
  };
  return lines.map((line) => line && decided(line)).join('\n');
}

/** Every file of a run that must be equal, byte for byte, however often it was ended and resumed. */
export async function traces(run: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(run, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  // Those that tell how long it took are left out.
  const compared = paths.filter((path) => !/report\.html$|metrics\.jsonl$|tfevents/.test(path)).sort();
  const texts = compared.map(
    async (path) => [path.slice(run.length), await readFile(path, 'base64')] as const,
  );
  return { ...Object.fromEntries(await Promise.all(texts)), metrics: await decidedMetrics(run) };
}
