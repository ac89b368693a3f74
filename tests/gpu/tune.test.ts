import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LAVAPIPE, type Target } from '../../engine/gpu/target.ts';
import { Engine, matmul, type Trial, type Tuning } from '../../engine/index.ts';
import { matmulCandidates, matmulKey, planMatmul } from '../../engine/ops/matmul/plan.ts';
import { compare, engine, random, tensor } from '../harness.ts';

const PRODUCT = { M: 70, N: 36, K: 600, transposeA: false, transposeB: true } as const;
const TARGET: Target = { ...LAVAPIPE, subgroupSize: 1, matrixUnit: undefined, workgroupBytes: 16_384 };

test('planner: candidates differ as plans, and a table comes before the rule, a forced choice before the table', () => {
  const candidates = matmulCandidates(TARGET, PRODUCT);
  const plans = candidates.map((force) => JSON.stringify(planMatmul(TARGET, PRODUCT, force)));
  assert.is(new Set(plans).size, plans.length);
  assert.ok(plans.length >= 4, plans.join('\n'));
  assert.equal(JSON.parse(JSON.stringify(candidates)), candidates, 'a table of them is kept as JSON');
  const { kind } = planMatmul(TARGET, PRODUCT);
  const other = kind === 'tiled' ? 'register' : 'tiled';
  assert.is(matmulKey(PRODUCT), '70x36x600 NT');
  const tuning: Tuning = { adapter: 'any', matmul: { '70x36x600 NT': { kind: other, splits: 2 } } };
  const tuned = planMatmul(TARGET, PRODUCT, {}, tuning);
  assert.equal([tuned.kind, tuned.splits], [other, 2]);
  assert.is(planMatmul(TARGET, PRODUCT, { kind }, tuning).kind, kind);
  assert.equal(
    planMatmul(TARGET, { ...PRODUCT, M: 71 }, {}, tuning),
    planMatmul(TARGET, { ...PRODUCT, M: 71 }),
  );
  assert.is(
    planMatmul(TARGET, { ...PRODUCT, epilogue: true }, {}, tuning).splits,
    1,
    'an epilogue needs whole sums',
  );
});

test('tune: every candidate is right, the fastest is kept, and the table survives JSON', async () => {
  const shapes = [
    { M: 70, N: 36, K: 600, transposeB: true },
    { M: 33, N: 17, K: 31, transposeA: true, batch: 3 },
    { M: 1, N: 8, K: 5 },
  ];
  const trials: Trial[] = [];
  const progress: number[] = [];
  const before = engine.stats();
  const tuning = await engine.tune(shapes, {
    onTrial: (trial, done, total) => {
      trials.push(trial);
      progress.push(done / total);
    },
  });
  assert.is(engine.stats().liveTensors, before.liveTensors);
  assert.is(progress.length, trials.length);
  assert.is(progress.at(-1), 1);
  for (const { shape, error, choice } of trials)
    assert.ok(error <= 1, `${shape} ${JSON.stringify(choice)}: ${error} of the allowed error`);
  assert.equal(Object.keys(tuning.matmul), ['70x36x600 NT', '33x17x31 TN 3', '1x8x5 NN']);
  for (const [shape, choice] of Object.entries(tuning.matmul)) {
    const fastest = Math.min(...trials.filter((trial) => trial.shape === shape).map(({ ms }) => ms));
    assert.is(trials.find((trial) => trial.shape === shape && trial.choice === choice)?.ms, fastest);
  }

  const tuned = await Engine.create({ tuning: JSON.parse(JSON.stringify(tuning)) as Tuning });
  const [a, b] = [random(70 * 600, 1), random(36 * 600, 2)];
  const product = (target: Engine) =>
    matmul(target.tensor(Float32Array.from(a), [70, 600]), target.tensor(Float32Array.from(b), [36, 600]), {
      transposeB: true,
    });
  compare('tuned', await product(tuned).data(), await product(engine).data());
  tuned.destroy();
  const error = await Engine.create({ tuning: { ...tuning, adapter: 'another' } }).then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.match(
    error?.message ?? '',
    /engine: the tuning must be that of this adapter, .*, got one of another/,
  );
});

test('tune: a choice that computes something else is found and never kept', async () => {
  const { run } = engine.gpu;
  const trials: Trial[] = [];
  // A device on which every product through workgroup memory is off by one part in a hundred in one operand.
  engine.gpu.run = (kernel, bind, call) =>
    run.call(
      engine.gpu,
      kernel,
      bind,
      kernel.entry.startsWith('matmul_tiled') ? { ...call, params: { ...call.params, scale: 1.01 } } : call,
    );
  try {
    const { matmul: table } = await engine.tune([{ M: 70, N: 36, K: 600 }], {
      onTrial: (trial) => trials.push(trial),
    });
    assert.is(table['70x36x600 NN'].kind, 'register');
  } finally {
    engine.gpu.run = run;
  }
  for (const { choice, error, ms } of trials) {
    assert.is(error > 1, choice.kind === 'tiled', `${JSON.stringify(choice)}: ${error}`);
    assert.is(Number.isFinite(ms), choice.kind !== 'tiled');
  }
  using x = tensor([1], [1]);
  compare('the device is itself again', await x.data(), [1]);
});

test.run();
