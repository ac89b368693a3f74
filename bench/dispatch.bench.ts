// What a dispatch costs the host: a training step whose tensors are so small that JavaScript and the calls into WebGPU are all
// there is. Step by step, and replayed from a capture.
import {
  AdamW,
  attention,
  backward,
  type Engine,
  layerNormLayer,
  linearLayer,
  mean,
  ParameterStore,
  square,
  type Tensor,
  unpackHeads,
  Weights,
} from '../engine/index.ts';
import type { BenchCase } from './harness.ts';
import { uniform } from './operands.ts';

const [DEPTH, T, D] = [4, 8, 24];

/** A small transformer with its optimizer, and a function that takes one training step. */
function trainer(engine: Engine) {
  const block = [
    { name: 'norm1.weight', shape: [D] },
    { name: 'norm1.bias', shape: [D] },
    { name: 'qkv.weight', shape: [3 * D, D] },
    { name: 'qkv.bias', shape: [3 * D] },
    { name: 'norm2.weight', shape: [D] },
    { name: 'norm2.bias', shape: [D] },
    { name: 'fc1.weight', shape: [4 * D, D] },
    { name: 'fc1.bias', shape: [4 * D] },
    { name: 'fc2.weight', shape: [D, 4 * D] },
    { name: 'fc2.bias', shape: [D] },
  ];
  const depths = Array.from({ length: DEPTH }, (_, i) => i);
  const specs = depths.flatMap((i) => block.map(({ name, shape }) => ({ name: `${i}.${name}`, shape })));
  const store = new ParameterStore(engine, specs);
  specs.forEach(({ name, shape }, i) => {
    store.get(name).write(
      uniform(
        shape.reduce((a, b) => a * b),
        i + 1,
        0.2,
      ),
    );
  });
  const optimizer = new AdamW(store, { lr: 1e-3, maxNorm: 1 });
  const step = (input: Tensor): Tensor => {
    let x = input;
    for (const i of depths) {
      const weights = new Weights(store).in(`${i}`);
      const qkv = linearLayer(layerNormLayer(x, weights.in('norm1'), { eps: 1e-5 }), weights.in('qkv'));
      const attended = attention(...unpackHeads(qkv, { parts: 3, heads: 3 })).reshape(x.shape);
      const hidden = linearLayer(
        layerNormLayer(attended, weights.in('norm2'), { eps: 1e-5 }),
        weights.in('fc1'),
        { gelu: 'tanh' },
      );
      x = linearLayer(hidden, weights.in('fc2'), { residual: attended });
    }
    const loss = mean(square(x));
    backward(loss);
    optimizer.step();
    return loss;
  };
  const x = engine.tensor(uniform(T * D, 77, 1), [1, T, D]);
  const eager = (): Tensor => {
    using scope = engine.scope();
    return step(x.in(scope)).moveTo(undefined);
  };
  const dispose = (): void => {
    optimizer.dispose();
    store.dispose();
  };
  return { x, step, eager, dispose };
}

/** Dispatches that `run` submits. */
function dispatchesOf(engine: Engine, run: () => void): number {
  engine.submit();
  const before = engine.stats().dispatches;
  run();
  engine.submit();
  return engine.stats().dispatches - before;
}

export const cases: BenchCase[] = ['eager', 'replayed'].map((mode) => ({
  op: 'host per dispatch',
  shape: mode,
  quick: true,
  clock: 'host',
  prepare: (engine) => {
    const measured = trainer(engine);
    const other = trainer(engine);
    const capture = mode === 'eager' ? undefined : engine.capture(measured.step, measured.x);
    const run = capture
      ? (): Tensor => {
          capture.replay();
          return capture.outputs.alias();
        }
      : measured.eager;
    return {
      parts: dispatchesOf(engine, () => other.eager().dispose()),
      run,
      // Against a second model that has taken one step already: replayed or not, the losses are the same.
      maxError: async (first) => {
        const [loss] = await first.data();
        using second = run();
        using want = other.eager();
        const [got] = await second.data();
        const [expected] = await want.data();
        return got < loss ? Math.abs(got - expected) / expected : Number.POSITIVE_INFINITY;
      },
      dispose: () => {
        capture?.dispose();
        for (const { dispose } of [measured, other]) dispose();
      },
    };
  },
}));
