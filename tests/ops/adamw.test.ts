import { test } from 'uvu';
import { adamwBegin, adamwUpdate } from '../../engine/ops/adamw.ts';
import type { Scope } from '../../engine/tensor/tensor.ts';
import { compare, engine, random, TOLERANCE, tensor, throws, torchCases } from '../harness.ts';
import { type AdamwOptions, type AdamwState, adamw as twin } from '../reference/adamw.ts';

const OPTIONS = { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-6, maxNorm: 5 };

/** p, m and v on the GPU, with a step that uploads its gradient and scalars. */
function optimizer(p: ArrayLike<number>, options: AdamwOptions, scope: Scope) {
  const n = p.length;
  const table = new Float32Array(4 * options.groups.length);
  const ends = new Uint32Array(table.buffer);
  options.groups.forEach(({ end, lrScale, decay }, k) => {
    ends[4 * k] = end;
    table.set([lrScale, decay], 4 * k + 1);
  });
  const parameters = tensor(Float32Array.from(p), [n], { scope });
  const moment1 = tensor(new Float32Array(n), [n], { scope });
  const moment2 = tensor(new Float32Array(n), [n], { scope });
  const groups = tensor(table, [options.groups.length, 4], { scope });
  const { lr, beta1, beta2, eps, maxNorm } = options;
  let t = 0;
  const step = (gradient: ArrayLike<number>, squaredNorm?: number) => {
    t++;
    const norm = squaredNorm ?? Array.from(gradient).reduce((total, value) => total + value * value, 0);
    const factor = maxNorm > 0 ? Math.min(1, maxNorm / (Math.sqrt(norm) + 1e-6)) : 1;
    const scalars = [lr, beta1, beta2, eps, 1 - beta1 ** t, 1 - beta2 ** t, factor, norm];
    adamwUpdate({
      parameters,
      gradients: tensor(Float32Array.from(gradient), [n], { scope }),
      moment1,
      moment2,
      groups,
      scalars: tensor(Float32Array.from(scalars), [8], { scope }),
    });
  };
  return { parameters, moment1, moment2, step };
}

for (const n of [1, 7, 63, 64, 260, 1031])
  test(`adamw: four steps over ${n} parameters in three groups match the twin, clipped and not`, async () => {
    for (const maxNorm of [0, 0.5, 1e6]) {
      using scope = engine.scope();
      const aligned = (share: number) =>
        n % 4 === 0 ? 4 * Math.floor((n * share) / 4) : Math.floor(n * share);
      const groups = [
        { end: aligned(0.3), lrScale: 1, decay: 0.1 },
        { end: aligned(0.6), lrScale: 0.5, decay: 0 },
        { end: n, lrScale: 2, decay: 0.01 },
      ];
      const options = { ...OPTIONS, maxNorm, groups };
      const p = random(n, 1);
      const gpu = optimizer(p, options, scope);
      let state: AdamwState = { p, m: new Float64Array(n), v: new Float64Array(n) };
      for (let t = 1; t <= 4; t++) {
        const gradient = random(n, 10 + t);
        gpu.step(gradient);
        state = twin(state, gradient, t, options);
      }
      compare('p', await gpu.parameters.data(), state.p);
      compare('m', await gpu.moment1.data(), state.m);
      compare('v', await gpu.moment2.data(), state.v);
    }
  });

test('adamw: a clipped run with two groups matches PyTorch step by step', async () => {
  using scope = engine.scope();
  const vectors = (await torchCases('adamw')).get('run')!;
  const get = (name: string) => vectors.get(name)!.data;
  const groups = [
    { end: 40, lrScale: 1, decay: 0.1 },
    { end: 64, lrScale: 0.5, decay: 0 },
  ];
  const gpu = optimizer(get('p0'), { ...OPTIONS, groups }, scope);
  for (let t = 1; t <= 5; t++) {
    gpu.step(get(`g${t}`));
    compare(`p after step ${t}`, await gpu.parameters.data(), get(`p${t}`));
  }
  compare('m', await gpu.moment1.data(), get('m5'));
  compare('v', await gpu.moment2.data(), get('v5'));
});

test('adamw: a gradient norm that is NaN or infinite leaves everything as it was', async () => {
  using scope = engine.scope();
  const n = 12;
  const p = random(n, 1);
  const gpu = optimizer(p, { ...OPTIONS, groups: [{ end: n, lrScale: 1, decay: 0.1 }] }, scope);
  for (const norm of [Number.NaN, Number.POSITIVE_INFINITY]) gpu.step(new Float64Array(n).fill(1), norm);
  compare('p', await gpu.parameters.data(), p, TOLERANCE.exact);
  compare('m', await gpu.moment1.data(), new Float64Array(n), TOLERANCE.exact);
  compare('v', await gpu.moment2.data(), new Float64Array(n), TOLERANCE.exact);
});

test('adamw: decay shrinks the parameter before the step, and not through the moments', async () => {
  using scope = engine.scope();
  const gpu = optimizer(
    [2, -3],
    { ...OPTIONS, lr: 0.5, groups: [{ end: 2, lrScale: 1, decay: 0.5 }] },
    scope,
  );
  gpu.step([0, 0]);
  compare('p', await gpu.parameters.data(), [1.5, -2.25]);
  compare('m', await gpu.moment1.data(), [0, 0], TOLERANCE.exact);
});

test('adamw: more workgroups than a grid dimension holds', async () => {
  using scope = engine.scope();
  const n = 65_536 * 64 + 1;
  const groups = [
    { end: n - 1, lrScale: 1, decay: 0 },
    { end: n, lrScale: 3, decay: 0 },
  ];
  const gpu = optimizer(new Float32Array(n), { ...OPTIONS, maxNorm: 0, groups }, scope);
  gpu.step(new Float32Array(n).fill(1), n);
  const p = await gpu.parameters.data();
  compare('p', [p[0], p[n - 2], p[n - 1]], [-0.01, -0.01, -0.03]);
});

test('adamw: a step counts on the GPU, and its bias corrections are right from the first step to the last', async () => {
  using scope = engine.scope();
  const normSquared = tensor([7], [1], { scope });
  const scalars = tensor(new Float32Array(8), [8], { scope });
  for (const [beta1, beta2] of [
    [0.9, 0.95],
    [0.5, 0.999],
    [0.99, 0.9999],
  ])
    for (const taken of [0, 1, 6, 99, 4999, 1_000_000]) {
      const settings = [0.1, beta1, beta2, 1e-6, Math.log(beta1), Math.log(beta2), 0.5, 0];
      const steps = engine.tensor(Uint32Array.of(taken), [1], { scope });
      const lossScale = tensor([4], [1], { scope });
      const goodSteps = engine.zeros([1], { dtype: 'u32', scope });
      const unscaledNormSquared = engine.zeros([1], { scope });
      const clock = { normSquared, steps, lossScale, goodSteps, unscaledNormSquared, scalars };
      adamwBegin({ settings: tensor(settings, [8], { scope }), ...clock });
      const t = taken + 1;
      compare('steps', await steps.data(), [t], TOLERANCE.exact);
      const got = await scalars.data();
      compare('copied', [...got.slice(0, 4), got[7]], [0.1, beta1, beta2, 1e-6, 7]);
      const norm = Math.sqrt(7 / 16);
      compare('norm', await unscaledNormSquared.data(), [7 / 16], TOLERANCE.exact);
      compare('clipping over the loss scale', got.slice(6, 7), [0.5 / (norm + 1e-6) / 4]);
      compare('a fixed scale', await lossScale.data(), [4], TOLERANCE.exact);
      for (const [i, beta] of [beta1, beta2].entries())
        compare(`1 - ${beta}^${t}`, got.slice(4 + i, 5 + i), [1 - beta ** t], { abs: 0, rel: 1e-6 });
    }
});

test('adamw: says which arena does not fit', () => {
  using scope = engine.scope();
  const [a, b] = [tensor(random(8, 1), [8], { scope }), tensor(random(4, 1), [4], { scope })];
  const groups = tensor(random(4, 1), [1, 4], { scope });
  const good = { parameters: a, gradients: a, moment1: a, moment2: a, groups, scalars: a };
  throws(
    () => adamwUpdate({ ...good, moment2: b }),
    /adamw: moment2 must have the size of parameters, got \[4\] and \[8\]/,
  );
  throws(() => adamwUpdate({ ...good, groups: b }), /adamw: groups must be \[G, 4\] with G > 0, got \[4\]/);
  throws(() => adamwUpdate({ ...good, scalars: b }), /adamw: scalars must be \[8\], got \[4\]/);
});

test.run();
