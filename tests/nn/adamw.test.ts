import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AdamW,
  backward,
  mul,
  ParameterStore,
  sum,
  type Tensor,
  Weights,
  warmupCosine,
} from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';

/** PyTorch's AdamW for one parameter and constant gradients, in float64. */
function twin(p: Float64Array, gradients: Float64Array[], lr: number, decay: number, clip = 1): Float64Array {
  const [beta1, beta2, eps] = [0.9, 0.95, 1e-8];
  const x = Float64Array.from(p);
  const m = new Float64Array(p.length);
  const v = new Float64Array(p.length);
  gradients.forEach((gradient, t) => {
    for (let i = 0; i < p.length; i++) {
      const g = gradient[i] * clip;
      x[i] *= 1 - lr * decay;
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      x[i] -= (lr * (m[i] / (1 - beta1 ** (t + 1)))) / (Math.sqrt(v[i] / (1 - beta2 ** (t + 1))) + eps);
    }
  });
  return x;
}

/** Sets every element. */
const write = (x: Tensor, value: number): void => x.write(new Float32Array(x.size).fill(value));

const SPECS = [
  { name: 'a.weight', shape: [5, 13], group: 0 },
  { name: 'a.bias', shape: [5], group: 1 },
  { name: 'b.weight', shape: [3, 7], group: 0 },
];

test('adamw: groups decay apart, steps follow the float64 twin, gradients are zero afterwards', async () => {
  const store = new ParameterStore(engine, SPECS);
  const optimizer = new AdamW(store, { lr: 0.01, weightDecay: [0.05, 0] });
  for (const { name, shape } of SPECS)
    store.get(name).write(
      Float32Array.from(
        random(
          shape.reduce((a, b) => a * b),
          shape[0],
        ),
      ),
    );
  const gradients = [random(65, 11), random(65, 12), random(65, 13)];
  for (const gradient of gradients) {
    for (const { name, shape } of SPECS)
      store.get(name).grad!.write(
        Float32Array.from(
          gradient.subarray(
            0,
            shape.reduce((a, b) => a * b),
          ),
        ),
      );
    optimizer.step();
  }
  for (const { name, shape, group } of SPECS) {
    const n = shape.reduce((a, b) => a * b);
    const want = twin(
      random(n, shape[0]),
      gradients.map((g) => g.subarray(0, n)),
      0.01,
      group === 0 ? 0.05 : 0,
    );
    compare(name, await store.get(name).data(), want, { abs: 1e-6, rel: 1e-6 });
    compare(`${name} gradient`, await store.get(name).grad!.data(), new Float32Array(n), TOLERANCE.exact);
  }
  optimizer.dispose();
  store.dispose();
});

test('adamw: clips the global norm over all arenas and reports it before clipping', async () => {
  const store = new ParameterStore(engine, SPECS);
  const optimizer = new AdamW(store, { lr: 0.01, maxNorm: 1 });
  for (const { name } of SPECS) write(store.get(name).grad!, 2);
  optimizer.step();
  const count = 65 + 5 + 21;
  compare('norm', await optimizer.gradNormSquared.data(), [4 * count]);
  const clip = 1 / (Math.sqrt(4 * count) + 1e-6);
  const want = twin(new Float64Array(21), [new Float64Array(21).fill(2)], 0.01, 0, clip);
  compare('b.weight', await store.get('b.weight').data(), want, { abs: 1e-7, rel: 1e-6 });
  optimizer.dispose();
  store.dispose();
});

test('adamw: an update with a non-finite gradient is skipped on the GPU, and not counted', async () => {
  const store = new ParameterStore(engine, SPECS);
  const optimizer = new AdamW(store, { lr: 0.5 });
  write(store.get('a.bias'), 3);
  store.get('b.weight').grad!.write(new Float32Array(21).fill(Number.NaN));
  optimizer.step();
  compare('a.bias', await store.get('a.bias').data(), [3, 3, 3, 3, 3], TOLERANCE.exact);
  compare('steps', await optimizer.steps.data(), [0], TOLERANCE.exact);
  optimizer.set({ lr: 0.01 });
  write(store.get('b.weight').grad!, 2);
  optimizer.step();
  compare('steps', await optimizer.steps.data(), [1], TOLERANCE.exact);
  const first = twin(new Float64Array(21), [new Float64Array(21).fill(2)], 0.01, 0, 1);
  compare('b.weight', await store.get('b.weight').data(), first, { abs: 1e-7, rel: 1e-6 });
  optimizer.dispose();
  store.dispose();
});

/** What torch.cuda.amp.GradScaler does after each step with its scale, from the finiteness of the gradients. */
function gradScaler(scale: number, finite: readonly boolean[], interval: number): number[] {
  let tracker = 0;
  return finite.map((isGood) => {
    if (!isGood) {
      scale *= 0.5;
      tracker = 0;
    } else if (++tracker === interval) {
      scale *= 2;
      tracker = 0;
    }
    return scale;
  });
}

/** Whether the gradients of a step are finite, and the scale after it, by hand: doubled after three good steps in a row. */
const TRACE = [
  [true, 1024],
  [true, 1024],
  [false, 512],
  [true, 512],
  [true, 512],
  [true, 1024],
  [true, 1024],
  [false, 512],
  [false, 256],
  [true, 256],
  [true, 256],
  [true, 512],
  [true, 512],
] as const;

test('adamw: the loss scale goes the way of GradScaler in a capture, and scaled steps are those without', async () => {
  assert.equal(
    gradScaler(
      1024,
      TRACE.map(([finite]) => finite),
      3,
    ),
    TRACE.map(([, scale]) => scale),
  );
  const stores = [new ParameterStore(engine, SPECS), new ParameterStore(engine, SPECS)];
  const options = { lr: 0.01, maxNorm: 0.5, weightDecay: [0.05, 0] };
  const scaled = new AdamW(stores[0], { ...options, lossScale: 1024, lossScaleInterval: 3 });
  const plain = new AdamW(stores[1], options);
  using scope = engine.scope();
  const x = tensor(new Float32Array(65), [5, 13], { scope });
  using captured = engine.capture((x) => {
    const loss = sum(mul(stores[0].get('a.weight'), x));
    backward(loss, { seed: scaled.lossScale?.reshape(loss.shape) });
    scaled.step();
    return { norm: scaled.gradNormSquared };
  }, x);
  let taken = 0;
  for (const [step, [finite, scale]] of TRACE.entries()) {
    const numbers = Float32Array.from(random(65, 30 + step));
    if (!finite) numbers[7] = 1e38; // beyond f32 once it is scaled
    x.write(numbers);
    captured.replay();
    compare(`scale after step ${step}`, await scaled.lossScale!.data(), [scale], TOLERANCE.exact);
    if (finite) {
      backward(sum(mul(stores[1].get('a.weight'), x)));
      plain.step();
      taken++;
      compare(
        'norm',
        await captured.outputs.norm.data(),
        await plain.gradNormSquared.data(),
        TOLERANCE.exact,
      );
    }
    compare('steps', await scaled.steps.data(), [taken], TOLERANCE.exact);
    const [got, want] = await Promise.all(stores.map((store) => store.arenas[0].values.data()));
    compare(`weights after step ${step}`, got, want, TOLERANCE.exact);
  }
  const fixed = new AdamW(stores[1], { lossScale: 2 ** 127, lossScaleInterval: 1 });
  fixed.step();
  compare('a scale stays finite', await fixed.lossScale!.data(), [2 ** 127], TOLERANCE.exact);
  for (const it of [scaled, plain, fixed, ...stores]) it.dispose();
});

test('adamw: averages follow the float64 recurrence over steps that count, and can be swapped with the weights', async () => {
  const store = new ParameterStore(engine, SPECS);
  for (const { name, shape } of SPECS) {
    const size = shape.reduce((a, b) => a * b);
    store.get(name).write(Float32Array.from(random(size, size)));
  }
  const optimizer = new AdamW(store, { lr: 0.1, averageDecay: 0.75 });
  const read = async (tensors: readonly Tensor[]) => (await tensors[0].data()) as Float32Array;
  const values = () => read(store.arenas.map(({ values }) => values));
  let want = Float64Array.from(await values());
  for (const step of [0, 1, 2, 3, 4]) {
    for (const { name } of SPECS) write(store.get(name).grad!, step === 2 ? Number.NaN : 1 + step);
    optimizer.step();
    optimizer.updateAverages();
    const after = await values();
    if (step !== 2) want = want.map((average, i) => 0.75 * average + 0.25 * after[i]);
    compare(`after step ${step}`, await read(optimizer.averages), want);
  }
  const [weights, averages] = [await values(), await read(optimizer.averages)];
  optimizer.swapAverages();
  compare('swapped', await values(), averages, TOLERANCE.exact);
  optimizer.swapAverages();
  compare('weights again', await values(), weights, TOLERANCE.exact);
  compare('averages again', await read(optimizer.averages), averages, TOLERANCE.exact);
  optimizer.dispose();
  store.dispose();
});

test('adamw: set changes one setting and keeps the other', async () => {
  const store = new ParameterStore(engine, SPECS);
  const optimizer = new AdamW(store, { lr: 0.5, maxNorm: 1 });
  optimizer.set({ lr: 0.01 });
  for (const { name } of SPECS) write(store.get(name).grad!, 2);
  optimizer.step();
  const clip = 1 / (Math.sqrt(4 * 91) + 1e-6);
  const clipped = twin(new Float64Array(21), [new Float64Array(21).fill(2)], 0.01, 0, clip);
  compare('lr set', await store.get('b.weight').data(), clipped, { abs: 1e-7, rel: 1e-6 });
  throws(
    () => Reflect.apply(optimizer.set, optimizer, [0.1]),
    /^AdamW\.set: options must be an object of lr, /,
  );
  throws(
    () => Reflect.construct(AdamW, [store, { learningRate: 1 }]),
    /^AdamW: an option must be one of lr, .*got learningRate/,
  );
  optimizer.dispose();
  store.dispose();
});

test('parameters: gradients of ops collect in the arena; names are checked', async () => {
  const store = new ParameterStore(engine, SPECS);
  store.enableGradients();
  const bias = new Weights(store).in('a').get('bias');
  using scope = engine.scope();
  const x = tensor([1, 2, 3, 4, 5], [5], { scope });
  backward(sum(mul(bias, x)));
  compare('gradient', await bias.grad!.data(), [1, 2, 3, 4, 5], TOLERANCE.exact);
  throws(() => store.get('nope'), /parameters: nope must exist, got 3 others/);
  throws(() => new ParameterStore(engine, [SPECS[0], SPECS[0]]), /names must differ, got a.weight twice/);
  assert.is(store.elementCount, 91);
  store.dispose();
});

test('schedule: warms up, peaks, and ends at zero', () => {
  const rates = Array.from({ length: 11 }, (_, step) =>
    warmupCosine(step, { steps: 10, warmup: 2, peak: 4 }),
  );
  assert.equal(rates.slice(0, 3), [2, 4, 4]);
  assert.ok(Math.abs(rates[6] - 2) < 1e-12, 'half the peak half way down');
  assert.ok(rates[10] === 0 && rates[9] > 0);
});

test.run();
