// What a certificate times: one or two ops for each fast path, at sizes that fill the adapter for some milliseconds.
import type { Engine } from '../engine.ts';
import type { MatmulForce } from '../gpu/tuning.ts';
import { attention } from '../ops/attention/attention.ts';
import type { AttentionVariant } from '../ops/attention/plan.ts';
import { layerNorm } from '../ops/layer_norm.ts';
import { inferenceLinear } from '../ops/matmul/inference.ts';
import { matmul } from '../ops/matmul/matmul.ts';
import { withProducts } from '../ops/matmul/product.ts';
import { quantize } from '../ops/quantize.ts';
import { randomUniform } from '../ops/random.ts';
import { sum } from '../ops/reduce.ts';
import { softmax } from '../ops/softmax.ts';
import type { FastPath } from '../self_test.ts';
import type { ProductDType } from '../tensor/autograd.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Scope, Tensor } from '../tensor/tensor.ts';
import {
  ATTENTION_MATRICES,
  ATTENTION_TILED,
  BROADCAST,
  HELD,
  MATRICES,
  PLAIN,
  PLAIN_ATTENTION,
  ROWS,
  SPLIT_KV,
  SUBGROUP_SUMS,
  TILED,
} from './proofs.ts';
import type { Work } from './rates.ts';

/** An op at one size, which runs by the kernels of a fast path. */
export interface TimedOp extends Work {
  readonly op: string;
  /** As printed: '512x512x512'. */
  readonly shape: string;
  /** Makes operands in the scope; the op's result is the caller's to dispose. */
  prepare(engine: Engine, scope: Scope): () => Tensor;
}

const uniform = (engine: Engine, scope: Scope, shape: Shape): Tensor =>
  randomUniform(engine, shape, { seed: 1 }).moveTo(scope);

function square(size: number, kind: MatmulForce['kind']): TimedOp {
  return {
    ...{ op: 'matmul', shape: `${size}x${size}x${size}`, flops: 2 * size ** 3 },
    tier: kind === 'subgroup_matrix' ? 3 : undefined,
    prepare: (engine, scope) => {
      const [a, b] = [uniform(engine, scope, [size, size]), uniform(engine, scope, [size, size])];
      return () => matmul(a, b, { force: { kind } });
    },
  };
}

/** T queries over M keys of 16 heads of 72. @param products  f16: on matrix units */
function heads(T: number, M: number, force: AttentionVariant, products: ProductDType = 'f32'): TimedOp {
  const [H, K] = [16, 72];
  return {
    ...{ op: 'attention', shape: `1x${T}+${M}x${H}x${K}`, flops: 4 * T * M * H * K },
    bytes: 8 * (T + M) * H * K,
    tier: products === 'f16' ? 3 : undefined,
    prepare: (engine, scope) => {
      const [q, k, v] = [T, M, M].map((rows) => uniform(engine, scope, [1, rows, H, K]));
      return () => withProducts(products, () => attention(q, k, v, { force }));
    },
  };
}

/** An op that reads x once and writes as much. */
function rowwise(op: string, R: number, C: number, run: (x: Tensor, scale: Tensor) => Tensor): TimedOp {
  return {
    ...{ op, shape: `${R}x${C}`, bytes: 8 * R * C },
    prepare: (engine, scope) => {
      const [x, scale] = [uniform(engine, scope, [R, C]), uniform(engine, scope, [C])];
      return () => run(x, scale);
    },
  };
}

const FEW_ROWS: TimedOp = {
  ...{ op: 'inference_linear, weight int4', shape: '1x4864x896', flops: 2 * 4864 * 896 },
  bytes: (4864 * 896 * 4.5) / 8 + 4 * (4864 + 896),
  prepare: (engine, scope) => {
    const x = uniform(engine, scope, [1, 896]);
    const weight = quantize(uniform(engine, scope, [4864, 896]));
    return () => inferenceLinear(x, weight);
  },
};

/** The ops that show what a fast path is worth on this adapter. */
export function timedOps({ isSoftware: small }: Engine, path: FastPath): TimedOp[] {
  switch (path) {
    case PLAIN:
      return [{ ...rowwise('sum', 8192, 2048, (x) => sum(x, { axis: 1 })), bytes: 4 * 8192 * 2048 }];
    case BROADCAST:
      return [square(512, 'register'), heads(256, 729, 'query_blocks')];
    case SUBGROUP_SUMS:
      return [rowwise('layer_norm', small ? 256 : 2560, 1152, (x, scale) => layerNorm(x, scale, scale))];
    case MATRICES:
      return [square(small ? 256 : 4096, 'subgroup_matrix')];
    case TILED:
      return [square(small ? 256 : 2048, 'tiled')];
    case ROWS:
      return [FEW_ROWS];
    case HELD:
      return [rowwise('softmax', small ? 256 : 11_664, 729, (x) => softmax(x))];
    case SPLIT_KV:
      return [heads(1, 729, 'split_kv')];
    case ATTENTION_TILED:
      return [heads(small ? 64 : 2560, small ? 64 : 3289, 'query_blocks')];
    case ATTENTION_MATRICES:
      return [heads(small ? 64 : 2560, small ? 64 : 3289, 'query_blocks', 'f16')];
    case PLAIN_ATTENTION:
      return [square(512, 'register'), heads(256, 729, 'query_blocks')];
    default:
      return [];
  }
}
