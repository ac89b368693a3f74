import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GPU_ON_CPU, LAVAPIPE, type Target } from '../../engine/gpu/target.ts';
import { backward, Engine, sum, type Tensor } from '../../engine/index.ts';
import { planAttention, planBlockTile } from '../../engine/ops/attention/plan.ts';
import { planRegisterTile } from '../../engine/ops/register_tile.ts';
import { compare, engine, random, TOLERANCE, tensor, withGpuPlans } from '../harness.ts';
import { headGradients } from '../reference/attention.ts';
import { poolAttention, selfAttention } from './packed_attention.ts';

const numbers = (x: Tensor<'f32'>): Promise<Float32Array> => x.data();

/** Rows of one head's columns, from packed [rows, width]. */
function columns(
  packed: ArrayLike<number>,
  [first, rows]: [number, number],
  [width, start]: [number, number],
  K: number,
): Float64Array {
  return Float64Array.from({ length: rows * K }, (_, i) => {
    return packed[(first + Math.floor(i / K)) * width + start + (i % K)];
  });
}

// Around blocks of 16 rows and 32 columns and SIMD registers of 8; heads that vec4 loads fit, and one that they do not; the
// last has more scores than are stored at a time, so that blocks add to dk and dv.
for (const [B, T, N, heads, K] of [
  [1, 1, 0, 1, 1],
  [2, 7, 5, 3, 4],
  [1, 16, 16, 2, 16],
  [2, 17, 31, 1, 24],
  [1, 65, 16, 2, 32],
  [1, 33, 7, 1, 72],
  [2, 19, 3, 2, 5],
  [1, 1031, 13, 1, 4],
])
  test(`attention by query blocks: ${B}x${T}, ${N} cached, ${heads} heads of ${K}: output and gradients match the twin`, async () => {
    using scope = engine.scope();
    const C = heads * K;
    const qkv = random(B * T * 3 * C, 1);
    const cached = random(B * N * 3 * C, 2);
    const dout = random(B * T * C, 3);
    const leaf = tensor(qkv, [B, T, 3 * C], { scope, requiresGrad: true });
    const cache = N > 0 ? tensor(cached, [B, N, 3 * C], { scope, requiresGrad: true }) : undefined;
    const out = selfAttention(leaf, { heads, cached: cache, force: 'query_blocks' });
    backward(out, { seed: tensor(dout, [B, T, C], { scope }) });
    const [got, dqkv] = [await numbers(out), await numbers(leaf.grad!)];
    const dcached = cache ? await numbers(cache.grad!) : new Float32Array(0);
    for (let z = 0; z < B; z++)
      for (let h = 0; h < heads; h++) {
        const own = (from: ArrayLike<number>, part: number) =>
          columns(from, [z * T, T], [3 * C, part * C + h * K], K);
        const kept = (from: ArrayLike<number>, part: number) =>
          columns(from, [z * N, N], [3 * C, part * C + h * K], K);
        const all = (part: number) => Float64Array.of(...kept(cached, part), ...own(qkv, part));
        const result = (from: ArrayLike<number>) => columns(from, [z * T, T], [C, h * K], K);
        const want = headGradients(own(qkv, 0), all(1), all(2), result(dout), { T, M: N + T, K });
        const plane = `batch ${z}, head ${h}`;
        compare(`out, ${plane}`, result(got), want.out);
        compare(`dq, ${plane}`, own(dqkv, 0), want.dq, TOLERANCE.grad);
        compare(`dk, ${plane}`, own(dqkv, 1), want.dk.subarray(N * K), TOLERANCE.grad);
        compare(`dv, ${plane}`, own(dqkv, 2), want.dv.subarray(N * K), TOLERANCE.grad);
        compare(`cached dq, ${plane}`, kept(dcached, 0), new Float64Array(N * K), TOLERANCE.exact);
        compare(`cached dk, ${plane}`, kept(dcached, 1), want.dk.subarray(0, N * K), TOLERANCE.grad);
        compare(`cached dv, ${plane}`, kept(dcached, 2), want.dv.subarray(0, N * K), TOLERANCE.grad);
      }
  });

test('attention by query blocks: masked and shared queries give what splits of the keys give', async () => {
  const [B, T, M, heads, K] = [3, 18, 41, 2, 8];
  const C = heads * K;
  const mask = Float64Array.from(random(B * M, 9), (value, i) => (i < (B - 1) * M && value > 0 ? 1 : 0));
  const results: Float32Array[][] = [];
  for (const force of ['split_kv', 'query_blocks'] as const) {
    using scope = engine.scope();
    const q = tensor(random(T * C, 1), [1, T, C], { scope, requiresGrad: true });
    const kv = tensor(random(B * M * 2 * C, 2), [B, M, 2 * C], { scope, requiresGrad: true });
    const out = poolAttention(q, kv, { heads, force, keyMask: tensor(mask, [B, M], { scope }) });
    backward(out, { seed: tensor(random(B * T * C, 3), [B, T, C], { scope }) });
    results.push([await numbers(out), await numbers(q.grad!), await numbers(kv.grad!)]);
  }
  for (const [i, name] of ['out', 'dq', 'dkv'].entries())
    compare(name, results[1][i], results[0][i], TOLERANCE.grad);
});

test('attention by query blocks: beyond the operands, memory stays at a block of scores', async () => {
  using scope = engine.scope();
  const [T, C, heads] = [1500, 32, 8];
  const qkv = tensor(random(T * 3 * C, 1), [1, T, 3 * C], { scope, requiresGrad: true });
  const seed = tensor(random(T * C, 3), [1, T, C], { scope });
  await engine.gpu.idle();
  engine.resetPeak();
  const before = engine.stats().liveBytes;
  backward(selfAttention(qkv, { heads, force: 'query_blocks' }), { seed });
  const extra = engine.stats().peakBytes - before;
  // A block is 4 MiB at most, on a GPU 36; all scores would be 4 * 8 * 1500 * 1500 B = 72 MB.
  const block = (engine.gpu.target.kind === 'cpu' ? 4 : 36) * 2 ** 20;
  assert.ok(extra < block + 3 * 4 * C * 8 * T, `got ${extra} B`);
});

const onCpu: Target = {
  ...LAVAPIPE,
  subgroupSize: 8,
  matrixUnit: undefined,
  workgroupBytes: 32_768,
  unrolledRegisters: false,
};
const onGpu: Target = { ...onCpu, ...GPU_ON_CPU, subgroupSize: 32 };

test('attention: the plan takes query blocks from two queries on, on CPUs from three', () => {
  const plan = (target: Target, T: number, keys: number, K = 72) =>
    planAttention(target, { B: 1, T, H: 16, K, keys: [keys] });
  assert.is(plan(onCpu, 196, 196).variant, 'query_blocks');
  assert.is(plan(onCpu, 1, 3289).variant, 'split_kv');
  assert.is(plan(onCpu, 1, 3289, 144).variant, 'query_blocks', 'an invocation does not hold a head of 144');
  for (const keys of [3289, 85]) assert.is(plan(onGpu, 1, keys).variant, 'split_kv');
  for (const T of [2, 196]) assert.is(plan(onGpu, T, 3289).variant, 'query_blocks');
  const flash = (T: number, keys: number, K = 72) =>
    planAttention(onGpu, { B: 1, T, H: 16, K, keys: [keys] }, 'flash');
  const { variant, splitKeys } = flash(2560, 3289);
  assert.equal([variant, splitKeys], ['flash', [3289]], '640 workgroups are enough');
  assert.equal(flash(64, 3289).splitKeys, [Math.ceil(3289 / (onGpu.fillGroups / 16))]);
  assert.equal([flash(9, 9, 5).padding, flash(9, 9, 144).variant], [3, 'query_blocks']);
  assert.equal([plan(onCpu, 9, 9).products, plan(onGpu, 9, 9).products], ['register', 'tiled']);
  assert.equal([plan(onGpu, 9, 9, 5).padding, plan(onCpu, 9, 9, 5).padding], [3, 0], 'tiles read vec4f');
});

test('attention: the plan of a block broadcasts rows on CPUs where a subgroup is a SIMD register', () => {
  const tile = { threadN: 2, wg: 8 };
  assert.equal(planRegisterTile(onCpu, 196, 48, 4), { ...tile, threadM: 16, broadcast: 8 });
  const alone = { ...onCpu, subgroupSize: 1 };
  assert.equal(planRegisterTile(alone, 196, 48, 4), { ...tile, threadM: 8, broadcast: 1 });
  assert.equal(planRegisterTile(onCpu, 3, 48, 4), { ...tile, threadM: 4, broadcast: 1 });
});

test('attention: on a GPU tiles are as wide as a head, and the keys are split until there is work for all', () => {
  const [look, scores] = [
    { M: 2560, N: 72, K: 3289, planes: 1 },
    { M: 2560, N: 3289, K: 72, planes: 1 },
  ];
  assert.equal(planBlockTile(onGpu, look, false), { tileM: 128, tileN: 72, splits: 13 });
  assert.equal(planBlockTile(onGpu, { ...look, M: 1 }, false), { tileM: 32, tileN: 72, splits: 34 });
  assert.equal(planBlockTile(onGpu, scores, true), { tileM: 128, tileN: 128, splits: 1 });
  const small = { ...onGpu, workgroupBytes: 16_384 };
  assert.is(planBlockTile(small, scores, true).tileM, 64, '128 needs 20,480 bytes');
});

// One query whose keys are summed in two splits, or in 19 by the plan for GPUs; queries around a tile of 32, and heads that are padded.
for (const [T, M, K, force] of [
  [1, 600, 8, 'query_blocks'],
  [1, 600, 8, undefined],
  [33, 41, 4, undefined],
  [3, 5, 6, undefined],
] as const)
  test(`attention by the plans for GPUs, ${force ?? 'not forced'}: ${T} queries over ${M} keys of ${K}: output and gradients match the twin`, () =>
    withGpuPlans(async () => {
      using scope = engine.scope();
      const [q, kv, dout] = [random(T * K, 1), random(M * 2 * K, 2), random(T * K, 3)];
      const part = (from: ArrayLike<number>, column: number): Float64Array =>
        Float64Array.from({ length: M * K }, (_, i) => from[Math.floor(i / K) * 2 * K + column + (i % K)]);
      const queries = tensor(q, [1, T, K], { scope, requiresGrad: true });
      const keys = tensor(kv, [1, M, 2 * K], { scope, requiresGrad: true });
      const out = poolAttention(queries, keys, { heads: 1, force });
      backward(out, { seed: tensor(dout, [1, T, K], { scope }) });
      const want = headGradients(q, part(kv, 0), part(kv, K), dout, { T, M, K });
      const dkv = await keys.grad!.data();
      compare('out', await out.data(), want.out);
      compare('dq', await queries.grad!.data(), want.dq, TOLERANCE.grad);
      compare('dk', part(dkv, 0), want.dk, TOLERANCE.grad);
      compare('dv', part(dkv, K), want.dv, TOLERANCE.grad);
    }));

// A tile of 8 columns, of values or of scores, has fewer invocations than fours of rows whose largest scores they find; without these, exp overflows.
for (const [B, T, M, K] of [
  [1, 40, 33, 8],
  [170, 100, 5, 12],
])
  test(`attention by query blocks in tiles: ${B} x ${T} queries over ${M} keys of ${K}: values of ones give ones, with scores in the hundreds`, () =>
    withGpuPlans(async () => {
      using scope = engine.scope();
      const q = random(B * T * K, 1).map((value) => 40 * value);
      const kv = random(B * M * 2 * K, 2).map((value, i) => (i % (2 * K) < K ? 40 * value : 1));
      const out = poolAttention(tensor(q, [B, T, K], { scope }), tensor(kv, [B, M, 2 * K], { scope }), {
        heads: 1,
        force: 'query_blocks',
      });
      compare('out', await out.data(), new Float32Array(B * T * K).fill(1));
    }));

// Blocks of 512 queries with a rest of 464; blocks of 11 planes with a rest of 2.
test('attention by query blocks: a plan counts what a capture records, knows every kernel and compiles none', async () => {
  const fresh = await Engine.create();
  const heads = 3;
  for (const [B, T] of [
    [1, 2000],
    [8, 300],
  ]) {
    const qkv = fresh.zeros([B, T, 12 * heads], { requiresGrad: true });
    backward(sum(qkv)); // its gradient exists from now on
    const step = (): undefined => {
      using scope = fresh.scope();
      const out = selfAttention(qkv.in(scope), { heads, force: 'query_blocks' });
      backward(out, { seed: fresh.zeros([B, T, 4 * heads], { scope }) });
    };
    const compiled = (): number => fresh.stats().pipelinesCreated;
    const before = compiled();
    const { flops } = fresh.plan(step);
    assert.is(compiled(), before);
    await fresh.warmup(step);
    const warm = compiled();
    using captured = fresh.capture(step);
    assert.is(compiled(), warm);
    assert.is(flops, captured.flops);
    assert.ok(captured.flops > 0 && warm > 0);
  }
  fresh.destroy();
});

test.run();
