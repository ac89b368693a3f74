// node --import ./engine/wgsl_loader.mjs --import tsx bench/native_vit.ts [--to 1512]
//
// A plain ViT of nano-4k's width and depth over every patch of an image, with full attention, beside nano-4k and one look: operations as
// counted, and time where it fits. Writes bench/results/detail-4k/native-vit.json.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Engine, noGrad, type Tensor } from '../engine/index.ts';
import { median } from '../engine/internal.ts';
import { encodingCost, plainVitCost } from '../ps3/model/cost.ts';
import { PS3 } from '../ps3/model/ps3.ts';
import { changedConfig, presetConfig, trainConfig } from '../ps3/train/presets.ts';

const { values } = parseArgs({ options: { to: { type: 'string', default: '1512' } } });
const SIDES = [378, 756, 1512, 3780];
const REPETITIONS = 3;

/** Milliseconds of a run, the first left out. */
async function timed(see: () => Tensor): Promise<number[]> {
  const ms: number[] = [];
  for (let i = 0; i <= REPETITIONS; i++) {
    const started = performance.now();
    using result = see();
    await result.data();
    if (i > 0) ms.push(performance.now() - started);
  }
  return ms;
}

const engine = await Engine.create();
const config = trainConfig({ preset: 'nano-4k' });
const imageOf = (side: number): Tensor<'u8'> =>
  engine.tensor(
    Uint8Array.from({ length: 4 * side * side }, (_, i) => (i * 2_654_435_761) >>> 24),
    [1, side, side, 4],
  );
const rows: { name: string; sidePx: number; tokens: number; gflop: number; ms: number | undefined }[] = [];
for (const side of SIDES) {
  const own = changedConfig(config, [`model.scalesPx=[${side},${2 * side}]`, 'model.maxSelect=16']);
  using model = PS3.create(engine, presetConfig(own, 64), 1);
  const { tokens, flops } = plainVitCost(model.config.vision, side);
  let ms: number | undefined;
  if (side <= Number(values.to)) {
    using image = imageOf(side);
    ms = median(
      await timed(() => {
        using scope = engine.scope();
        const inside = image.in(scope);
        return noGrad(() => model.vision.pool(model.vision.lowRes(inside).hidden[0])).moveTo(undefined);
      }),
    );
  }
  rows.push({ name: 'plain ViT', sidePx: side, tokens, gflop: flops / 1e9, ms });
  console.log(rows[rows.length - 1]);
}
using model = PS3.create(engine, presetConfig(config, 64), 1);
using image = imageOf(3780);
const { flops } = encodingCost(engine, model);
const ms = median(
  await timed(() => {
    using scope = engine.scope();
    const inside = image.in(scope);
    return noGrad(() => model.vision.pool(model.vision.forward(inside, { looks: 1 }).lastHiddenState)).moveTo(
      undefined,
    );
  }),
);
const [low] = model.config.vision.gridSides;
rows.push({
  name: 'PS3, one look',
  sidePx: 3780,
  tokens: low ** 2 + config.model.maxSelect,
  gflop: flops / 1e9,
  ms,
});
console.log(rows[rows.length - 1]);
const path = join(dirname(fileURLToPath(import.meta.url)), 'results', 'detail-4k', 'native-vit.json');
writeFileSync(
  path,
  `${JSON.stringify({ adapter: engine.adapterName, repetitions: REPETITIONS, rows }, undefined, 1)}\n`,
);
engine.destroy();
