import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodingCost, plainVitCost } from '../../ps3/model/cost.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

const config = presetConfig(PRESETS.small, 40);

test('cost: a plain ViT by hand', () => {
  const { width, depth, mlpHidden, patchPx } = config.vision;
  assert.equal([width, depth, mlpHidden, patchPx], [64, 3, 256, 14]);
  // 224 px: 256 tokens. A block: projections 4 x 64^2, MLP 2 x 64 x 256, twice for 256 tokens; scores and sums 2 x 2 x 256^2 x 64.
  const block = 2 * 256 * (16_384 + 32_768) + 4 * 65_536 * 64;
  const patches = 2 * 256 * 588 * 64;
  assert.equal(plainVitCost(config.vision, 224), { tokens: 256, flops: 3 * block + patches });
});

test('cost: encoding is counted by kernels, and looks cost alike', () => {
  using model = PS3.allocate(engine, config);
  const [none, one, two] = [0, 1, 2].map((looks) => encodingCost(engine, model, { looks }));
  assert.equal(
    [none, one, two].map(({ tokens }) => tokens),
    [16, 48, 80],
  );
  const low = plainVitCost(config.vision, 56);
  assert.ok(none.flops > low.flops, 'selection costs besides the low-res pass');
  const look = one.flops - none.flops;
  assert.ok(Math.abs((two.flops - one.flops) / look - 1) < 0.01);
  // 32 patches through the blocks, which see 16 + 32 keys: by hand, as above.
  const block = 2 * 32 * (16_384 + 32_768) + 4 * 32 * 48 * 64;
  const byHand = 3 * block + 2 * 32 * 588 * 64;
  assert.ok(look >= byHand && look < 1.1 * byHand, `${look} for ${byHand}`);
});

test.run();
