// Position residuals that depend on the place within a low-res patch alone, against the tables of every place.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, mul, openSafetensors, sum } from '../../engine/index.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { positionsAt } from '../../ps3/model/vision/positions.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

const tokenizer = buildWordTokenizer(['red apple', 'key'], { contextLength: 8 });
/** Grids 2, 4 and 10 at width 32: places 2² and 5² in a low-res patch. */
const sizes = ['model.scalesPx=[28,56,140]'];
const configOf = (tied: boolean) =>
  presetConfig(
    trainConfig({ preset: 'smoke', set: [...sizes, `model.tiedPositions=${tied}`] }),
    tokenizer.vocabSize,
  );
const make = () =>
  PS3.create(engine, configOf(true), 3, { tokenizer, layerScale: 0.1, positionResidualStd: 0.2 });

/** The row of a tied table that stands for a place of a grid: written out, not taken from the code under test. */
const rowOf = (place: number, grid: number, side: number): number =>
  (Math.floor(place / grid) % side) * side + ((place % grid) % side);

test('residuals and their gradients are those of the whole table, summed over low-res patches', async () => {
  using tied = make();
  using whole = PS3.create(engine, configOf(false), 3, { tokenizer, layerScale: 0.1 });
  for (const [scale, grid, side] of [
    [1, 4, 2],
    [2, 10, 5],
  ]) {
    const name = `vision_model.pos_emb_residual.${scale - 1}`;
    const table = await tied.parameters.get(name).data();
    assert.equal(tied.parameters.get(name).shape, [1, side * side, 32]);
    const expanded = new Float32Array(grid * grid * 32);
    for (let p = 0; p < grid * grid; p++)
      expanded.set(table.subarray(rowOf(p, grid, side) * 32, (rowOf(p, grid, side) + 1) * 32), p * 32);
    whole.parameters.get(name).write(expanded);
    const places = [...Array(grid * grid).keys()].filter((p) => p % 3 !== 1);
    const weights = Float32Array.from({ length: places.length * 32 }, (_, i) => Math.sin(i * 1.7));
    const run = async (model: PS3) => {
      model.parameters.enableGradients();
      model.parameters.zeroGradients();
      using scope = engine.scope();
      const indices = engine.tensor(Uint32Array.from(places), [1, places.length], { scope });
      const { weights: named, config } = model.vision;
      const rows = positionsAt(named, config, scale, [grid, grid], indices);
      const w = engine.tensor(weights, [1, places.length, 32], { scope });
      backward(sum(mul(rows, w)));
      return { rows: await rows.data(), gradient: await model.parameters.get(name).grad!.data() };
    };
    const [a, b] = [await run(tied), await run(whole)];
    assert.equal(a.rows, b.rows);
    const summed = new Float64Array(side * side * 32);
    for (let p = 0; p < grid * grid; p++)
      for (let c = 0; c < 32; c++) summed[rowOf(p, grid, side) * 32 + c] += b.gradient[p * 32 + c];
    for (const [i, want] of summed.entries())
      assert.ok(Math.abs(a.gradient[i] - want) < 1e-5, `scale ${scale}, ${i}: ${a.gradient[i]}, not ${want}`);
  }
});

test('places of a low-res patch begin apart, with the mean square that is asked for', async () => {
  using model = make();
  const table = (await model.parameters.get('vision_model.pos_emb_residual.1').data()) as Float32Array;
  const square = table.reduce((total, x) => total + x * x, 0) / table.length;
  assert.ok(Math.abs(square - 0.04) < 1e-5, String(square));
  for (let a = 0; a < 25; a++)
    for (let b = 0; b < a; b++) {
      let distance = 0;
      for (let c = 0; c < 32; c++) distance += (table[a * 32 + c] - table[b * 32 + c]) ** 2;
      assert.ok(distance > 0.01, `places ${a} and ${b}: ${distance}`);
    }
});

test('a checkpoint with whole tables has the official shapes and the same features', async () => {
  using model = make();
  const folder = await mkdtemp(join(tmpdir(), 'tied-'));
  await model.save(join(folder, 'tied'));
  await model.save(join(folder, 'whole'), { untied: true });
  const file = await openSafetensors(join(folder, 'whole', 'model.safetensors'));
  assert.equal(file.tensors.get('vision_model.pos_emb_residual.1')?.shape, [1, 100, 32]);
  await file.close();
  using image = engine.tensor(
    Uint8Array.from({ length: 140 * 140 * 4 }, (_, i) => (i * i) % 251),
    [1, 140, 140, 4],
  );
  const featuresOf = async (name: string) => {
    using loaded = await PS3.load(engine, join(folder, name));
    using encoding = await loaded.encode(image, { prompt: 'key' });
    return await encoding.lastHiddenState.data();
  };
  assert.equal(await featuresOf('tied'), await featuresOf('whole'));
});

test('tied residuals need grids that divide into low-res patches', () => {
  assert.throws(
    () =>
      PS3.allocate(engine, {
        ...configOf(true),
        vision: { ...configOf(true).vision, gridSides: [2, 5, 10] },
      }),
    /multiples of the first where tied_pos_emb_residual is true, got \[2,5,10\]/,
  );
});

test.run();
