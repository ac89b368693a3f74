import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  add,
  attention,
  inferenceLinear,
  KeyValueCache,
  linear,
  rmsNorm,
  rope,
  type Tensor,
  unpackHeads,
} from '../../engine/index.ts';
import {
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
  type Vector,
  withGpuPlans,
} from '../harness.ts';
import { attendCached } from '../reference/kv_cache.ts';

/** theta^(-2i / K) in f32. */
const frequenciesOf = (K: number): Float64Array =>
  Float64Array.from({ length: K / 2 }, (_, i) => Math.fround(1e4 ** ((-2 * i) / K)));

/** Tokens in pieces, the first from a position that the host names. Results and the cache beside the twin. */
async function decodes(
  [B, H, G, K, length]: readonly number[],
  pieces: readonly number[],
  starts: readonly number[] = new Array<number>(B).fill(0),
): Promise<void> {
  using scope = engine.scope();
  using cache = new KeyValueCache(engine, { layers: 2, batch: B, length, kvHeads: G, headSize: K });
  const frequencies = frequenciesOf(K);
  const table = tensor(frequencies, [K / 2], { scope });
  let kept: Float64Array = new Float64Array(B * length * 2 * G * K);
  let offsets = starts;
  cache.positions.write(Int32Array.from(starts));
  for (const [i, T] of pieces.entries()) {
    const width = (H + 2 * G) * K;
    const numbers = random(B * T * width, i + 1);
    const offset = i === 0 && starts.every((start) => start === starts[0]) ? starts[0] : undefined;
    const got = cache.attend(1, tensor(numbers, [B, T, width], { scope }), table, { heads: H, offset });
    cache.advance(T);
    const want = attendCached(kept, numbers, frequencies, { B, T, H, G, K, length, offsets });
    kept = want.kept;
    offsets = offsets.map((start) => start + T);
    compare(`piece ${i}`, await got.data(), want.out);
  }
  compare('cache', await cache.layer(1).data(), kept);
  compare('positions', await cache.positions.data(), offsets, TOLERANCE.exact);
  compare('the other layer', await cache.layer(0).data(), new Float64Array(kept.length), TOLERANCE.exact);
}

for (const [sizes, pieces, starts] of [
  [[1, 1, 1, 2, 1], [1]],
  [
    [1, 2, 1, 4, 3],
    [1, 1, 1, 1, 1],
  ],
  [
    [1, 4, 2, 8, 13],
    [5, 1, 1, 3, 1],
  ],
  [
    [2, 6, 2, 6, 9],
    [3, 1, 2],
    [0, 2],
  ],
  [
    [1, 14, 2, 64, 80],
    [67, 1, 1],
  ],
  [
    [1, 7, 1, 128, 40],
    [33, 1, 1],
  ],
  [
    [2, 3, 1, 132, 5],
    [2, 1],
  ],
] as const)
  test(`KeyValueCache: rows, heads, of keys, size and length ${sizes}: pieces of ${pieces} tokens match the twin`, () =>
    decodes(sizes, pieces, starts));

test('KeyValueCache: pieces of tokens hear what PyTorch computes for all at once', async () => {
  for (const [name, vectors] of await torchCases('kv_cache')) {
    using scope = engine.scope();
    const [qkv, out] = [vectors.get('qkv')!, vectors.get('out')!];
    const [B, length, heads, K] = out.shape;
    const width = qkv.shape[2];
    const kvHeads = (width / K - heads) / 2;
    using cache = new KeyValueCache(engine, { layers: 1, batch: B, length, kvHeads, headSize: K });
    const frequencies = tensor(vectors.get('frequencies')!.data, [K / 2], { scope });
    let first = 0;
    for (const T of vectors.get('pieces')!.data) {
      const rows = ({ data }: Vector, columns: number): number[] =>
        Array.from({ length: B * T * columns }, (_, e) => {
          const [b, within] = [Math.floor(e / T / columns), e % (T * columns)];
          return data[(b * length + first) * columns + within];
        });
      const piece = tensor(rows(qkv, width), [B, T, width], { scope });
      const heard = await cache.attend(0, piece, frequencies, { heads }).data();
      compare(`${name}, ${T} tokens from ${first} on`, heard, rows(out, heads * K));
      cache.advance(T);
      first += T;
    }
  }
});

test('KeyValueCache: a token at a time matches the twin with the plan of GPUs', () =>
  withGpuPlans(() => decodes([2, 4, 2, 8, 70], [1, 1, 1], [66, 3])));

test('KeyValueCache: NaN in a cached key or in the new one makes the heads that read it NaN', async () => {
  using scope = engine.scope();
  const table = tensor([1, 0.5], [2], { scope });
  for (const spoilt of ['cached', 'new']) {
    using cache = new KeyValueCache(engine, { layers: 1, length: 12, kvHeads: 2, headSize: 4 });
    const kept = Float32Array.from(random(12 * 16, 1));
    const qkv = random(24, 2);
    if (spoilt === 'cached') kept[5 * 16] = Number.NaN;
    else qkv[2 * 4] = Number.NaN;
    cache.layer(0).write(kept);
    cache.positions.write(Int32Array.of(9));
    const out = await cache.attend(0, tensor(qkv, [1, 1, 24], { scope }), table, { heads: 2 }).data();
    assert.equal(
      Array.from(out, Number.isNaN),
      Array.from(out, (_, e) => e < 4),
      spoilt,
    );
  }
});

test('KeyValueCache: tokens beyond its end change nothing', async () => {
  using scope = engine.scope();
  using cache = new KeyValueCache(engine, { layers: 1, batch: 2, length: 3, kvHeads: 1, headSize: 2 });
  cache.positions.write(Int32Array.of(2, 3));
  const before = random(12 * 2, 1);
  cache.layer(0).write(Float32Array.from(before));
  const qkv = tensor(random(2 * 2 * 6, 2), [2, 2, 6], { scope });
  cache.attend(0, qkv, tensor([1], [1], { scope }), { heads: 1 });
  const after = await cache.layer(0).data();
  const isNew = Array.from(after, (value, e) => value !== Math.fround(before[e]));
  assert.equal(
    isNew.flatMap((one, e) => (one ? [Math.floor(e / 4)] : [])),
    [2, 2, 2, 2],
    'row 0 has its third token, row 1 none',
  );
  cache.clear();
  compare('positions', await cache.positions.data(), [0, 0], TOLERANCE.exact);
});

const [D, H, G, K, LAYERS, LENGTH] = [16, 4, 2, 8, 2, 12];
const SHAPES = {
  qkv: [(H + 2 * G) * K, D],
  bias: [(H + 2 * G) * K],
  out: [D, H * K],
  gateUp: [48, D],
  down: [D, 24],
  first: [D],
  second: [D],
};

/** A decoder of two layers on any attention of packed queries, keys and values. */
function decoderOf(hear: (layer: number, qkv: Tensor) => Tensor) {
  const weights = Array.from({ length: LAYERS }, (_, layer) =>
    Object.fromEntries(
      Object.entries(SHAPES).map(([name, shape], i) => {
        const count = shape.reduce((product, n) => product * n);
        return [name, tensor(random(count, 10 * layer + i), shape)];
      }),
    ),
  );
  return (x: Tensor): Tensor => {
    let h = x;
    weights.forEach(({ qkv, bias, out, gateUp, down, first, second }, layer) => {
      const [B, T] = x.shape;
      const heard = hear(layer, linear(rmsNorm(h, first), qkv, { bias })).reshape([B, T, H * K]);
      h = linear(heard, out, { residual: h });
      h = linear(inferenceLinear(rmsNorm(h, second), gateUp, { swiglu: true }), down, { residual: h });
    });
    return h;
  };
}

test('KeyValueCache: a captured step decodes as the whole text at once does, and makes nothing', async () => {
  using scope = engine.scope();
  const frequencies = tensor(frequenciesOf(K), [K / 2], { scope });
  const [prompt, T] = [4, 10];
  const text = random(T * D, 5);
  const whole = decoderOf((_layer, qkv) => {
    const rotated = rope(qkv, frequencies, { heads: H + G });
    const [q, k, v] = unpackHeads(rotated, { parts: 3, heads: H, kvHeads: G });
    return attention(q, k, v, { causal: true });
  });
  const want = await whole(tensor(text, [1, T, D], { scope })).data();

  using cache = new KeyValueCache(engine, { layers: LAYERS, length: LENGTH, kvHeads: G, headSize: K });
  const first = decoderOf((layer, qkv) => cache.attend(layer, qkv, frequencies, { heads: H, offset: 0 }));
  const got = await first(tensor(text.subarray(0, prompt * D), [1, prompt, D], { scope })).data();
  cache.advance(prompt);
  compare('prompt', got, want.subarray(0, prompt * D));

  const next = decoderOf((layer, qkv) => cache.attend(layer, qkv, frequencies, { heads: H }));
  const x = tensor(text.subarray(0, D), [1, 1, D], { scope });
  using step = engine.capture((x) => {
    const y = next(x);
    cache.advance(1);
    return add(y, 0);
  }, x);
  const made: number[][] = [];
  for (let t = prompt; t < T; t++) {
    x.write(Float32Array.from(text.subarray(t * D, (t + 1) * D)));
    const before = engine.stats().dispatches;
    step.replay();
    compare(`token ${t}`, await step.outputs.data(), want.subarray(t * D, (t + 1) * D));
    const { buffersCreated, bindGroupsCreated, pipelinesCreated, dispatches } = engine.stats();
    made.push([buffersCreated, bindGroupsCreated, pipelinesCreated, dispatches - before]);
  }
  assert.is(
    made[0][3],
    LAYERS * 7 + 2,
    'seven dispatches for a layer, one to advance and one for the result',
  );
  assert.equal(made.slice(1), made.slice(0, -1), 'buffers, bind groups, pipelines and dispatches');
  compare('positions', await cache.positions.data(), [T], TOLERANCE.exact);
});

test('KeyValueCache.begin: rows go on behind the tokens of another cache as if they had read them', async () => {
  using scope = engine.scope();
  const sizes = { layers: 2, kvHeads: 2, headSize: 6 };
  const width = (4 + 2 * 2) * 6;
  const frequencies = tensor(frequenciesOf(6), [3], { scope });
  const [before, behind] = [random(3 * width, 1), random(2 * width, 2)];
  const twice = (numbers: Float64Array): Float64Array => Float64Array.from([...numbers, ...numbers]);
  using first = new KeyValueCache(engine, { ...sizes, length: 3 });
  using whole = new KeyValueCache(engine, { ...sizes, batch: 2, length: 7 });
  using begun = new KeyValueCache(engine, { ...sizes, batch: 2, length: 7 });
  for (const layer of [0, 1]) {
    first.attend(layer, tensor(before, [1, 3, width], { scope }), frequencies, { heads: 4, offset: 0 });
    whole.attend(layer, tensor(twice(before), [2, 3, width], { scope }), frequencies, {
      heads: 4,
      offset: 0,
    });
  }
  begun.begin([0, 1].map((layer) => first.layer(layer)));
  whole.advance(3);
  compare('positions', await begun.positions.data(), [3, 3], TOLERANCE.exact);
  for (const layer of [0, 1]) {
    const [got, want] = [begun, whole].map((cache) =>
      cache.attend(layer, tensor(twice(behind), [2, 2, width], { scope }), frequencies, { heads: 4 }),
    );
    compare(`layer ${layer}`, await got.data(), await want.data(), TOLERANCE.exact);
  }
  compare('cache', await begun.layer(1).data(), await whole.layer(1).data(), TOLERANCE.exact);
  throws(
    () => first.begin([whole.layer(0), whole.layer(1)]),
    /^KeyValueCache\.begin: there must be 2 layers of \[1, P, 24\], P at most 3, got \[2, 7, 24\], \[2, 7, 24\]/,
  );
});

test('KeyValueCache: says what does not fit', () => {
  using scope = engine.scope();
  using cache = new KeyValueCache(engine, { layers: 1, length: 3, kvHeads: 1, headSize: 2 });
  const qkv = tensor(random(6, 2), [1, 1, 6], { scope });
  const one = tensor([1], [1], { scope });
  throws(
    () => new KeyValueCache(engine, { layers: 1, length: 3, kvHeads: 1, headSize: 3 }),
    /^KeyValueCache: sizes must be whole numbers from 1 on, and headSize even, got layers = 1, batch = 1, length = 3, kvHeads = 1, headSize = 3/,
  );
  throws(() => cache.layer(1), /^KeyValueCache: the layer must be within 0 to 0, got 1/);
  throws(
    () => cache.attend(0, qkv, one, { heads: 2 }),
    /^KeyValueCache\.attend: qkv must be \[1, T, \(heads \+ 2\) \* 2\], got \[1, 1, 6\] and heads = 2/,
  );
  throws(
    () => cache.attend(0, qkv, qkv, { heads: 1 }),
    /^KeyValueCache\.attend: frequencies must be \[1\], got \[1, 1, 6\]/,
  );
  throws(
    () => cache.attend(0, qkv, one, { heads: 1, offset: -1 }),
    /^KeyValueCache\.attend: offset must be a whole number, got -1/,
  );
  using pair = new KeyValueCache(engine, { layers: 1, length: 3, kvHeads: 2, headSize: 2 });
  const odd = tensor(random(14, 2), [1, 1, 14], { scope });
  throws(
    () => pair.attend(0, odd, one, { heads: 3 }),
    /^KeyValueCache\.attend: heads must be a multiple of 2, got heads = 3/,
  );
  throws(() => cache.advance(0.5), /^KeyValueCache\.advance: tokens must be a whole number, got 0\.5/);
});

test.run();
