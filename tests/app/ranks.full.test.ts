// The command line under mpirun: shared work, and what is said once.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { engine, random } from '../harness.ts';
import { IMPLEMENTATIONS, launcherOf, runRanks } from '../ranks/mpirun.ts';

const BIN = fileURLToPath(new URL('../../ps3/app/bin.mjs', import.meta.url));
const [implementation] = IMPLEMENTATIONS.filter(launcherOf);
const IMAGES = 5;

/** `ps3` on so many ranks; gives the lines of standard error too. */
async function ps3(ranks: number, ...words: string[]) {
  const ended = await runRanks(implementation, ranks, [BIN, ...words]);
  return { ...ended, lines: ended.err.split('\n') };
}

/** The same in a process by itself. */
async function ps3Alone(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...words], { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

/** Runs in a new folder with a small checkpoint and images. */
async function inFolder(work: (checkpoint: string, images: string, folder: string) => Promise<void>) {
  const folder = await mkdtemp(join(tmpdir(), 'ps3-ranks-'));
  try {
    const [checkpoint, images] = [join(folder, 'checkpoint'), join(folder, 'images')];
    const tokenizer = buildWordTokenizer(['ring'], { contextLength: 8 });
    using model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 5, { tokenizer });
    await model.save(checkpoint);
    await mkdir(images);
    for (let i = 0; i < IMAGES; i++) {
      const pixels = Buffer.from(random(3 * 40 * 40, i).map((value) => 127 + 127 * value));
      const raw = { width: 40, height: 40, channels: 3 } as const;
      await sharp(pixels, { raw }).toFile(join(images, `${i}.png`));
    }
    await work(checkpoint, images, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (!implementation) test('ps3 under mpirun', () => console.log('skipped: needs Open MPI or MPICH'));
else {
  test('encode: two ranks do every image once, and three go on with what is left', async () => {
    await inFolder(async (checkpoint, images, folder) => {
      const out = join(folder, 'out');
      const words = ['encode', images, '--checkpoint', checkpoint, '--out', out];
      /** Numbers of the images that were encoded, as the lines of all ranks tell. */
      const encoded = (lines: readonly string[]): string[] =>
        lines.flatMap((line) => /^(\d+)\/5 .* tokens in/.exec(line)?.[1] ?? []).sort();
      const whole = await ps3(2, ...words);
      assert.is(whole.code, 0, whole.err);
      assert.equal(encoded(whole.lines), ['1', '2', '3', '4', '5']);
      const files = (await readdir(out)).filter((name) => name.endsWith('.safetensors')).sort();
      assert.equal(files, [
        '0.safetensors',
        '1.safetensors',
        '2.safetensors',
        '3.safetensors',
        '4.safetensors',
      ]);

      const kept = await stat(join(out, '2.safetensors'));
      for (const left of ['0', '3']) await rm(join(out, `${left}.safetensors`));
      const rest = await ps3(3, ...words, '--resume');
      assert.is(rest.code, 0, rest.err);
      assert.equal(encoded(rest.lines), ['1', '4']);
      assert.is(rest.err.match(/encode: 3 of 5 images were there already\./g)?.length, 1, rest.err);
      assert.equal((await readdir(out)).filter((name) => name.endsWith('.safetensors')).sort(), files);
      assert.is((await stat(join(out, '2.safetensors'))).mtimeMs, kept.mtimeMs);
    });
  });

  test('data pack and data check: two ranks leave what one process does, and say it once', async () => {
    await inFolder(async (_, images, folder) => {
      const lines = Array.from({ length: IMAGES }, (_, i) =>
        JSON.stringify({ image: `${i}.png`, text: ['ring'], box: [[i, 0, i === 3 ? 99 : 20, 20]] }),
      );
      await writeFile(join(images, 'annotations.jsonl'), `${lines.join('\n')}\n`);
      const filesOf = async (path: string): Promise<Record<string, string>> => {
        const entries = await readdir(path, { recursive: true, withFileTypes: true });
        const paths = entries.filter((entry) => entry.isFile()).map((e) => join(e.parentPath, e.name));
        const texts = paths
          .sort()
          .map(async (p) => [p.slice(path.length), await readFile(p, 'base64')] as const);
        return Object.fromEntries(await Promise.all(texts));
      };
      /** One process, then two ranks; the result must be the same. */
      const compareRanks = async (
        name: string,
        words: (out: string) => string[],
        code: number,
        said: RegExp,
      ) => {
        const [one, two] = [join(folder, `${name} one`), join(folder, `${name} two`)];
        const alone = await ps3Alone(...words(one));
        const shared = await ps3(2, ...words(two));
        for (const ended of [alone, shared]) {
          assert.is(ended.code, code, ended.err);
          assert.is(ended.out.match(said)?.length, 1, ended.out);
        }
        assert.equal(await filesOf(two), await filesOf(one));
        return two;
      };
      const pack = (source: string) => (out: string) => ['data', 'pack', source, out];
      const shards = await compareRanks(
        'pack',
        (out) => [...pack(images)(out), '--samples-per-shard', '2'],
        0,
        /5 samples into 3 shards/g,
      );
      await compareRanks('unpack', pack(shards), 0, /5 samples from 3 shards/g);
      await compareRanks('check', (out) => ['data', 'check', shards, '--out', out], 1, /faults +1$/gm);
    });
  });

  test('a mistake is said once, and ends every rank with its code', async () => {
    for (const [words, sentence] of [
      [['encode', '--nonsense'], /ps3: .*nonsense/],
      [['eval', 'run'], /ps3: eval: it must run as one process, got 2\. Leave mpirun out\./],
      [['data', 'check', 'x'], /ps3: data check: --out must name the folder to write, got none\./],
    ] as const) {
      const { code, lines, err } = await ps3(2, ...words);
      assert.is(code, 2, err);
      assert.is(lines.filter((line) => sentence.test(line)).length, 1, err);
    }
  });
}

test.run();
