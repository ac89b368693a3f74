// What a block of SO400M keeps between forward and backward when it reads 729 low-res tokens and then 2560 selected patches:
// the table of ps3/guides/training.md, planned by the engine and counted by hand.
import { readFile } from 'node:fs/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ActivationDType,
  backward,
  ParameterStore,
  type Tensor,
  Weights,
  withSavedActivations,
} from '../../engine/index.ts';
import { transformerBlock, visionBlock } from '../../ps3/model/vision/vit.ts';
import { engine } from '../harness.ts';

/** Width, numbers of the MLP and heads of SO400M, its low-res tokens and the patches of one look. */
const [C, F, H, LOW, HIGH] = [1152, 4304, 16, 729, 2560];
const OPTIONS = { heads: H, eps: 1e-6, gelu: 'tanh' } as const;
const SHAPES: Readonly<Record<string, readonly number[]>> = {
  ...{ 'norm1.weight': [C], 'norm1.bias': [C], 'norm2.weight': [C], 'norm2.bias': [C] },
  ...{ 'attn.qkv.weight': [3 * C, C], 'attn.qkv.bias': [3 * C], 'attn.proj.weight': [C, C] },
  ...{ 'attn.proj.bias': [C], 'mlp.fc1.weight': [F, C], 'mlp.fc1.bias': [F] },
  ...{ 'mlp.fc2.weight': [C, F], 'mlp.fc2.bias': [C] },
};

/** Bytes of a stack of blocks besides weights and gradients: kept between forward and backward, and at most. */
function stackBytes(count: number, dtype: ActivationDType, checkpointed: boolean) {
  let [weightsBytes, keptBytes] = [0, 0];
  const before = engine.stats().liveBytes;
  const plan = engine.plan(() => {
    const names = Array.from({ length: count }, (_, i) => `blocks.${i}`);
    const specs = names.flatMap((block) =>
      Object.entries(SHAPES).map(([name, shape]) => ({ name: `${block}.${name}`, shape: [...shape] })),
    );
    const store = new ParameterStore(engine, specs);
    store.enableGradients();
    weightsBytes = store.arenas.reduce((sum, { values }) => sum + 2 * values.sizeBytes, 0);
    const scope = engine.scope();
    const blocks = names.map((name) => visionBlock(new Weights(store).in(name)));
    const y = withSavedActivations(dtype, () => {
      const kept: Tensor<'f32'>[] = [];
      const pass = (tokens: number): Tensor<'f32'> => {
        let x: Tensor<'f32'> = engine.empty([1, tokens, C], { scope });
        for (const [i, block] of blocks.entries()) {
          const cached = tokens === HIGH ? kept[i] : undefined;
          const [next, qkv] = transformerBlock(x, block, { ...OPTIONS, cached, checkpointed });
          x.dispose();
          x = next;
          if (cached) qkv.dispose();
          else kept.push(qkv);
        }
        return x;
      };
      pass(LOW).dispose();
      const y = pass(HIGH);
      for (const qkv of kept) qkv.dispose();
      return y;
    });
    keptBytes = engine.stats().liveBytes - y.sizeBytes;
    backward(y, { seed: engine.empty(y.shape, { scope }) });
    for (const it of [y, scope, store]) it.dispose();
    return undefined;
  });
  return { keptBytes: keptBytes - before - weightsBytes, peakBytes: plan.peakBytes - before - weightsBytes };
}

/** What the last block of a stack adds: what all share drops out. */
function lastBlock(
  kind: 'keptBytes' | 'peakBytes',
  count: number,
  dtype: ActivationDType,
  checkpointed: boolean,
): number {
  const [more, less] = [count, count - 1].map((n) => stackBytes(n, dtype, checkpointed)[kind]);
  return more - less;
}

// Of a token: the input, both norms' outputs, q, k, v, what attention gives and what follows it, and the MLP before and after
// its gelu; mean and deviation of both norms, and the logsumexp of each head, in f32.
const whole = (LOW + HIGH) * (8 * C + 2 * F);
const statistics = 4 * (LOW + HIGH) * (4 + H);
// The input of each pass, and the keys and values that the second reads of the first, with the queries beside them.
const inputs = (LOW + HIGH + 3 * LOW) * C;

for (const [dtype, checkpointed, want, megabytes] of [
  ['f32', false, 4 * whole + statistics, 235],
  ['f16', false, 2 * whole + statistics, 118],
  ['bf16', false, 2 * whole + statistics, 118],
  ['f32', true, 4 * inputs, 25],
  ['bf16', true, 2 * inputs, 13],
] as const)
  test(`block memory: ${dtype}${checkpointed ? ', checkpointed' : ''}: a block of SO400M keeps ${megabytes} MB, as counted by hand and as the guide says`, async () => {
    const got = lastBlock('keptBytes', 3, dtype, checkpointed);
    // Each parameter and row of statistics begins at a multiple of 256 bytes.
    assert.ok(Math.abs(got - want) < 8 * 256, `${got} bytes, ${want} by hand`);
    assert.is(Math.round(got / 1e6), megabytes);
    const guide = await readFile(new URL('../../ps3/guides/training.md', import.meta.url), 'utf8');
    const row = guide.match(/^\| activations of a block .*$/m)?.[0] ?? '';
    const column = { f32: 0, f16: 1, bf16: 1 }[dtype] + (checkpointed ? 2 : 0);
    assert.is(row.split('|')[2 + column]?.trim(), `${megabytes} MB`);
  });

for (const checkpointed of [false, true])
  test(`block memory: f16${checkpointed ? ', checkpointed' : ''}: the peak of 27 blocks has their low-res caches in f32 besides`, () => {
    const want = checkpointed ? 2 * inputs : 2 * whole + statistics;
    const caches = (4 - 2) * LOW * 3 * C;
    const got = lastBlock('peakBytes', 27, 'f16', checkpointed);
    assert.ok(Math.abs(got - want - caches) < 8 * 256, `${got} bytes, ${want + caches} by hand`);
    assert.is(Math.round(caches / 1e6), 5, 'as the guide says');
  });

test.run();
