// One training step of a small vision transformer, the model that libraries with autograd are compared on: pre-norm blocks,
// mean pooling, cross-entropy, Adam; weights and inputs by xorshift, so that any library can be given the same ones.
import {
  AdamW,
  add,
  attention,
  backward,
  type Engine,
  layerNormLayer,
  linearLayer,
  logSoftmax,
  mean,
  mul,
  ParameterStore,
  sum,
  type Tensor,
  unpackHeads,
  Weights,
} from '../engine/index.ts';
import type { BenchCase } from './harness.ts';
import { uniform } from './operands.ts';

/** B images of T patches of P numbers; depth blocks of width D with H heads and F hidden numbers; V classes. */
export const VIT = { B: 4, T: 196, P: 768, D: 192, depth: 4, H: 3, F: 768, V: 100 } as const;
const { B, T, P, D, depth, H, F, V } = VIT;

/** Losses of the first steps by PyTorch 1.13 in float64: peers/torch_cuda.py prints them. */
const LOSSES = [5.06279, 1.19292, 0.78316, 0.10375];

export interface VitWeight {
  readonly name: string;
  /** Matrices are [in, out]. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The initial weights, in the order in which the forward pass uses them. */
export function vitWeights(): VitWeight[] {
  let seed = 100;
  const weights: VitWeight[] = [];
  const put = (name: string, shape: number[], values: Float32Array): void => {
    weights.push({ name, shape, values });
  };
  const linear = (name: string, from: number, to: number): void => {
    put(`${name}.weight`, [from, to], uniform(from * to, seed++, Math.sqrt(3 / from)));
    put(`${name}.bias`, [to], new Float32Array(to));
  };
  const norm = (name: string): void => {
    put(`${name}.weight`, [D], new Float32Array(D).fill(1));
    put(`${name}.bias`, [D], new Float32Array(D));
  };
  linear('embed', P, D);
  put('positions', [T, D], uniform(T * D, seed++, 0.02));
  for (let i = 0; i < depth; i++) {
    norm(`blocks.${i}.norm1`);
    linear(`blocks.${i}.qkv`, D, 3 * D);
    linear(`blocks.${i}.proj`, D, D);
    norm(`blocks.${i}.norm2`);
    linear(`blocks.${i}.fc1`, D, F);
    linear(`blocks.${i}.fc2`, F, D);
  }
  norm('norm');
  linear('head', D, V);
  return weights;
}

/** Patches [B, T, P] and one-hot classes [B, V]. */
export function vitBatch(): { patches: Float32Array; classes: Float32Array } {
  const classes = new Float32Array(B * V);
  for (let b = 0; b < B; b++) classes[b * V + ((b * 13 + 1) % V)] = 1;
  return { patches: uniform(B * T * P, 77, 1), classes };
}

/** [R, C] to [C, R]. */
function transposed(values: Float32Array, R: number, C: number): Float32Array {
  return Float32Array.from({ length: R * C }, (_, i) => values[(i % R) * C + Math.floor(i / R)]);
}

function createParameters(engine: Engine): ParameterStore {
  const weights = vitWeights();
  const isMatrix = ({ name, shape }: VitWeight): boolean => shape.length === 2 && name !== 'positions';
  const store = new ParameterStore(
    engine,
    weights.map((one) => ({ name: one.name, shape: isMatrix(one) ? one.shape.toReversed() : one.shape })),
  );
  for (const one of weights)
    store
      .get(one.name)
      .write(isMatrix(one) ? transposed(one.values, one.shape[0], one.shape[1]) : one.values);
  return store;
}

/** Cross-entropy of the batch, averaged: [1]. */
function forward(weights: Weights, patches: Tensor, classes: Tensor): Tensor {
  let x = add(linearLayer(patches, weights.in('embed')), weights.get('positions'));
  for (let i = 0; i < depth; i++) {
    const block = weights.in(`blocks.${i}`);
    const qkv = linearLayer(layerNormLayer(x, block.in('norm1'), { eps: 1e-5 }), block.in('qkv'));
    const attended = attention(...unpackHeads(qkv, { parts: 3, heads: H })).reshape(x.shape);
    x = linearLayer(attended, block.in('proj'), { residual: x });
    const hidden = linearLayer(layerNormLayer(x, block.in('norm2'), { eps: 1e-5 }), block.in('fc1'), {
      gelu: 'erf',
    });
    x = linearLayer(hidden, block.in('fc2'), { residual: x });
  }
  const pooled = mean(layerNormLayer(x, weights.in('norm'), { eps: 1e-5 }), { axis: 1 });
  const logits = linearLayer(pooled, weights.in('head'));
  return mul(sum(mul(logSoftmax(logits), classes)), -1 / B);
}

const BLOCK_FLOPS = 2 * T * D * (4 * D + 2 * F) + 4 * T * T * D;

export const vitCase: BenchCase = {
  op: 'vit training step',
  shape: `${B}x${T}x${D}, depth ${depth}`,
  flops: 3 * B * (2 * T * P * D + depth * BLOCK_FLOPS + 2 * D * V),
  quick: true,
  clock: 'wall',
  peer: { name: 'vitStep' },
  prepare: (engine) => {
    const store = createParameters(engine);
    const optimizer = new AdamW(store, { betas: [0.9, 0.999] });
    const weights = new Weights(store);
    const batch = vitBatch();
    const patches = engine.tensor(batch.patches, [B, T, P]);
    const classes = engine.tensor(batch.classes, [B, V]);
    const step = (patches: Tensor, classes: Tensor): Tensor => {
      const loss = forward(weights, patches, classes);
      backward(loss);
      optimizer.step();
      return loss;
    };
    const capture = engine.capture(step, patches, classes);
    return {
      run: () => {
        capture.replay();
        return capture.outputs.alias();
      },
      maxError: async (first, again) => {
        let worst = 0;
        let loss = first;
        for (const want of LOSSES) {
          const [got] = await loss.data();
          worst = Math.max(worst, Math.abs(got - want) / want);
          if (loss !== first) loss.dispose();
          loss = again();
        }
        loss.dispose();
        return worst;
      },
      dispose: () => {
        capture.dispose();
        optimizer.dispose();
        store.dispose();
      },
    };
  },
};

export const cases: BenchCase[] = [vitCase];
