import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { buildPage, newestRun, pageOptions } from '../../ps3/app/page/build.ts';
import { partsOf } from '../../ps3/app/page/crops.ts';

const runs = mkdtempSync(join(tmpdir(), 'ps3-runs-'));

test.after(() => {
  rmSync(runs, { recursive: true });
});

test('page: carries the model and nothing of Node', async () => {
  const options = pageOptions({ models: [], samples: [] }, 'unused');
  const { metafile } = await build({ ...options, write: false, metafile: true });
  const inputs = Object.keys(metafile.inputs);
  assert.ok(inputs.includes('ps3/model/vision/vision.ts') && inputs.includes('shaders/attention/split.wgsl'));
  const foreign = inputs.filter((path) => /sharp|canvas|wgsl_reflect|ps3\/(data|train)/.test(path));
  assert.equal(foreign, []);
  const outputs = Object.entries(metafile.outputs);
  const left = outputs.flatMap(([, { imports }]) => imports.filter(({ external }) => external));
  assert.equal([...new Set(left.map(({ path }) => path))], []);
  const partsOf = (name: string): string[] => {
    const parts = new Set<string>();
    const visit = (path: string): void => {
      if (parts.has(path)) return;
      parts.add(path);
      for (const { path: next, kind } of metafile.outputs[path].imports)
        if (kind === 'import-statement') visit(next);
    };
    visit(`unused/${name}`);
    return [...parts];
  };
  const sizeOf = (name: string): number =>
    partsOf(name).reduce((sum, path) => sum + metafile.outputs[path].bytes, 0);
  assert.ok(sizeOf('page.js') < 40e3, `page.js and its parts have ${sizeOf('page.js')} bytes`);
  assert.ok(sizeOf('worker.js') < 530e3, `worker.js and its parts have ${sizeOf('worker.js')} bytes`);
});

test('page: the newest run with a checkpoint is offered', async () => {
  assert.is(await newestRun(join(runs, 'nowhere')), undefined);
  for (const [name, file] of [
    ['small-2026-01-02-030405', 'model.safetensors'],
    ['medium-2026-01-01-000000', 'model.safetensors'],
    ['smoke-2026-03-01-000000', 'training_state.safetensors'],
  ]) {
    mkdirSync(join(runs, name, 'checkpoint'), { recursive: true });
    writeFileSync(join(runs, name, 'checkpoint', file), '');
  }
  assert.is(await newestRun(runs), join(runs, 'small-2026-01-02-030405'));
});

test('page: what was looked at is cut out part by part, cells that touch at edges together, largest first', () => {
  const rows = ['##..#', '.#...', '..###', '.....'];
  assert.equal(
    partsOf([4, 5], (row, column) => rows[row][column] === '#'),
    [
      { top: 0, bottom: 2, left: 0, right: 2, count: 3 },
      { top: 2, bottom: 3, left: 2, right: 5, count: 3 },
      { top: 0, bottom: 1, left: 4, right: 5, count: 1 },
    ],
  );
});

test('page: without a run it offers the models of the package and their samples', async () => {
  const site = join(runs, 'shipped');
  await buildPage(site);
  assert.ok(existsSync(join(site, 'nano-4k/model.safetensors')));
  const samples = readdirSync(join(site, 'nano-4k/samples')).filter((name) => name.endsWith('.jpg'));
  assert.is(samples.filter((name) => name.startsWith('small-')).length, 4);
  assert.is(samples.length, 8);
  const scripts = readdirSync(site).filter((name) => name.endsWith('.js'));
  const script = scripts.map((name) => readFileSync(join(site, name), 'utf8')).join('');
  for (const name of samples) assert.ok(script.includes(`nano-4k/samples/${name}`), name);
  for (const name of ['vila-s', 'vila-4k'])
    assert.ok(existsSync(join(site, `${name}/llm/model.safetensors`)), name);
  // Where several cards are red or black, they are not asked about: one sample has each of them once.
  const asked = (colour: string): number => script.split(`What is on the card in ${colour}`).length - 1;
  assert.equal(['blue', 'red', 'black', 'green'].map(asked), [3, 1, 1, 1]);
});

test('page: a run without a checkpoint is refused in one sentence', async () => {
  const run = join(runs, 'smoke-2026-03-01-000000');
  await buildPage(join(runs, 'site'), run).then(
    () => assert.unreachable(),
    ({ message }: Error) =>
      assert.is(
        message,
        `buildPage: ${run} must hold a checkpoint, got none. Pass the folder of a finished run.`,
      ),
  );
});

test.run();
