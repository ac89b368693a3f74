// How large and how small numbers may be whose squares are added: right within, and beyond what the reference says.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as ops from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, withGpuPlans } from '../harness.ts';
import { cosineMap } from '../reference/cosine.ts';
import { l2Normalize } from '../reference/l2_normalize.ts';
import { layerNorm } from '../reference/layer_norm.ts';

const [R, C] = [3, 65];

/** Rows of numbers of a magnitude, exact in f32. */
const scaled = (magnitude: number, seed = 1): Float64Array =>
  random(R * C, seed).map((u) => Math.fround(u * magnitude));

async function bothPlans(check: () => Promise<void>): Promise<void> {
  await check();
  await withGpuPlans(check);
}

const gamma = random(C, 2);
const beta = random(C, 3);

test('layer_norm: right up to deviations of 1e18, and with eps for those of 1e-30; beyond, y is beta', () =>
  bothPlans(async () => {
    using scope = engine.scope();
    const normed = (x: Float64Array, eps?: number) =>
      ops
        .layerNorm(
          tensor(x, [R, C], { scope }),
          tensor(gamma, [C], { scope }),
          tensor(beta, [C], { scope }),
          { eps },
        )
        .data();
    for (const magnitude of [1e18, 1e10, 1, 1e-10, 1e-17, 1e-30]) {
      const x = scaled(magnitude);
      compare(`${magnitude}`, await normed(x), layerNorm(x, gamma, beta), TOLERANCE.grad);
      if (magnitude >= 1e-17)
        compare(`${magnitude}, eps 0`, await normed(x, 0), layerNorm(x, gamma, beta, 0), TOLERANCE.grad);
    }
    const again = Float64Array.from({ length: R * C }, (_, i) => beta[i % C]);
    for (const magnitude of [1e20, 1e30]) compare(`${magnitude}`, await normed(scaled(magnitude)), again);
  }));

test('l2_normalize: right for lengths from eps to 1e19, 0 beyond, x / eps below', () =>
  bothPlans(async () => {
    using scope = engine.scope();
    for (const magnitude of [1e18, 1e10, 1e-10, 1e-13, 1e-25]) {
      const x = scaled(magnitude);
      const y = await ops.l2Normalize(tensor(x, [R, C], { scope })).data();
      compare(`${magnitude}`, y, l2Normalize(x, C), { abs: 0, rel: 5e-6 });
    }
    const small = scaled(1e-17);
    const y = await ops.l2Normalize(tensor(small, [R, C], { scope }), { eps: 0 }).data();
    compare('eps 0', y, l2Normalize(small, C, 0));
    const far = ops.l2Normalize(tensor(scaled(1e20), [R, C], { scope }));
    compare('1e20', await far.data(), new Float64Array(R * C), TOLERANCE.exact);
  }));

test('cosine: right for lengths from eps to 1e19, 0 beyond', () =>
  bothPlans(async () => {
    using scope = engine.scope();
    for (const [f, q] of [
      [1e18, 1e18],
      [1e-11, 1e18],
      [1, 1e-30],
    ]) {
      const [features, query] = [scaled(f), scaled(q, 5).slice(0, C)];
      const map = ops.cosineMap(tensor(features, [1, R, C], { scope }), tensor(query, [1, C], { scope }));
      compare(`${f}, ${q}`, await map.data(), cosineMap(features, query, { B: 1, N: R, C }), {
        abs: 0,
        rel: 5e-6,
      });
    }
    for (const [f, q] of [
      [1e20, 1],
      [1, 1e20],
    ]) {
      const query = tensor(scaled(q, 5).slice(0, C), [1, C], { scope });
      const map = ops.cosineMap(tensor(scaled(f), [1, R, C], { scope }), query);
      compare(`${f}, ${q}`, await map.data(), [0, 0, 0], TOLERANCE.exact);
    }
  }));

test('squaredNorm: right for 1e-17 to 1e18, infinite from 1.8e19 on, 0 for 1e-30', async () => {
  using scope = engine.scope();
  for (const magnitude of [1e18, 1e9, 1e-9, 1e-17]) {
    const x = scaled(magnitude);
    const want = x.reduce((sum, value) => sum + value * value, 0);
    const [norm] = await ops.squaredNorm([tensor(x, [R, C], { scope })]).data();
    compare(`${magnitude}`, [norm / want], [1]);
  }
  const norms = [1e20, 1e-30].map((value) => ops.squaredNorm([engine.full([3], value, { scope })]));
  assert.equal([(await norms[0].data())[0], (await norms[1].data())[0]], [Infinity, 0]);
});

test('AdamW: a gradient of 1e18 makes a step of lr, one of 1e20 none, one of 1e-30 is divided by eps', async () => {
  for (const [gradient, want] of [
    [1e18, 1 - 0.25],
    [1e20, 1],
    [1e-12, 1 - (0.25 * 1e-12) / (1e-12 + 1e-8)],
    [1e-30, 1],
  ]) {
    const store = new ops.ParameterStore(engine, [{ name: 'a', shape: [4], group: 0 }]);
    const optimizer = new ops.AdamW(store, { lr: 0.25 });
    store.get('a').write(Float32Array.of(1, 1, 1, 1));
    ops.backward(ops.sum(ops.mul(store.get('a'), gradient)));
    optimizer.step();
    compare(`${gradient}`, await store.get('a').data(), [want, want, want, want]);
    const [moment] = optimizer.moments[0];
    const first = gradient > 1.8e19 ? 0 : 0.1 * gradient;
    const got = (await moment.data())[0];
    if (!(Math.abs(got - first) <= 1e-6 * first)) throw new Error(`first moment: got ${got}, want ${first}`);
    optimizer.dispose();
    store.dispose();
  }
});

test.run();
