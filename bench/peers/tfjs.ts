// TensorFlow.js with its WebGPU backend: https://github.com/tensorflow/tfjs.
import type { TensorData } from '../../engine/index.ts';
import { VIT, vitBatch, vitWeights } from '../vit.bench.ts';
import { type Operand, type Peer, type PeerOp, type PeerRun, separated } from './peer.ts';

interface TfTensor {
  data(): Promise<TensorData>;
  dispose(): void;
}

type Operands = TfTensor | number;

/** What the backend has to be told before its queue can be waited for. */
interface Backend {
  readonly commandEncoder: object | null;
  readonly queue: { onSubmittedWorkDone(): Promise<unknown> };
  endComputePassEncoder(): void;
  submitQueue(): void;
}

/** The part of the library that is used here: the exports of tfjs_entry.mjs. */
interface Tfjs {
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  backend(): Backend;
  tidy<T extends TfTensor | readonly TfTensor[]>(run: () => T): T;
  tensor(values: Float32Array | Int32Array, shape: readonly number[], dtype?: string): TfTensor;
  variable(initial: TfTensor, trainable: boolean, name: string): TfTensor;
  variableGrads(
    loss: () => TfTensor,
    weights: readonly TfTensor[],
  ): { value: TfTensor; grads: Record<string, TfTensor> };
  readonly train: {
    adam(lr: number, beta1: number, beta2: number, eps: number): Optimizer;
  };
  add(a: Operands, b: Operands): TfTensor;
  sub(a: Operands, b: Operands): TfTensor;
  mul(a: Operands, b: Operands): TfTensor;
  div(a: Operands, b: Operands): TfTensor;
  erf(x: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  sum(x: TfTensor, axis?: number): TfTensor;
  mean(x: TfTensor, axis: number): TfTensor;
  moments(x: TfTensor, axis: number, keepDims: boolean): { mean: TfTensor; variance: TfTensor };
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  softmax(x: TfTensor, axis: number): TfTensor;
  logSoftmax(x: TfTensor, axis: number): TfTensor;
  transpose(x: TfTensor, order: readonly number[]): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
  split(x: TfTensor, parts: number, axis: number): TfTensor[];
  gather(table: TfTensor, indices: TfTensor, axis: number): TfTensor;
  topk(x: TfTensor, k: number, sorted: boolean): { values: TfTensor; indices: TfTensor };
}

interface Optimizer {
  applyGradients(gradients: Record<string, TfTensor>): void;
  dispose(): void;
}

/** @param url  of the bundle of tfjs_entry.mjs */
export async function openTfjs(url: string): Promise<Peer> {
  const tf: Tfjs = await import(url);
  if (!(await tf.setBackend('webgpu'))) throw new Error('tfjs: its backend webgpu must start, got none.');
  await tf.ready();
  return {
    library: 'tfjs',
    prepare: (op, operands, copies) => {
      if (op.name === 'vitStep') return prepareVit(tf);
      const run = operation(tf, op);
      const given = op.name === 'attention' ? separated(operands, op.heads) : operands;
      return run && prepare(tf, run, given, copies);
    },
  };
}

/** Resolves when the device is done: an open pass is ended and what waits is submitted first. */
async function finish(tf: Tfjs): Promise<void> {
  const backend = tf.backend();
  if (backend.commandEncoder) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  await backend.queue.onSubmittedWorkDone();
}

/** 0.5 x (1 + erf(x / sqrt(2))): the library has no gelu. */
function gelu(tf: Tfjs, x: TfTensor): TfTensor {
  return tf.mul(tf.mul(x, 0.5), tf.add(1, tf.erf(tf.div(x, Math.SQRT2))));
}

function layerNorm(tf: Tfjs, x: TfTensor, gamma: TfTensor, beta: TfTensor, eps: number): TfTensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps))), gamma), beta);
}

/** q, k, v [..., H, T or M, K]; the library has no attention. */
function attention(tf: Tfjs, q: TfTensor, k: TfTensor, v: TfTensor, K: number): TfTensor {
  return tf.matMul(tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(K)), -1), v);
}

/** Of several results, the last is the one to check. */
function operation(tf: Tfjs, op: PeerOp): ((operands: readonly Tensor[]) => TfTensor[]) | undefined {
  switch (op.name) {
    case 'matmul':
      return ([a, b]) => [tf.matMul(a.tensor, b.tensor)];
    case 'softmax':
      return ([x]) => [tf.softmax(x.tensor, -1)];
    case 'layerNorm':
      return ([x, gamma, beta]) => [layerNorm(tf, x.tensor, gamma.tensor, beta.tensor, op.eps)];
    case 'gelu':
      return ([x]) => [gelu(tf, x.tensor)];
    case 'attention':
      return (operands) => {
        const [q, k, v] = operands.map(({ tensor }) => tf.transpose(tensor, [1, 0, 2]));
        return [tf.transpose(attention(tf, q, k, v, operands[0].shape[2]), [1, 0, 2])];
      };
    case 'topK':
      return ([x]) => {
        const { values, indices } = tf.topk(x.tensor, op.k, true);
        return [values, indices];
      };
    case 'gather':
      return ([table, indices]) => [tf.gather(table.tensor, indices.tensor, 0)];
    case 'add':
      return ([a, b]) => [tf.add(a.tensor, b.tensor)];
    case 'sum':
      return ([x]) => [tf.sum(x.tensor, op.axis)];
    case 'permute':
      return ([x]) => [tf.transpose(x.tensor, op.order)];
  }
}

interface Tensor {
  readonly tensor: TfTensor;
  readonly shape: readonly number[];
}

async function prepare(
  tf: Tfjs,
  run: (operands: readonly Tensor[]) => TfTensor[],
  operands: readonly Operand[],
  copies: number,
): Promise<PeerRun> {
  const sets = Array.from({ length: copies }, () =>
    operands.map(({ data, shape }) => ({
      shape,
      tensor:
        data instanceof Uint32Array
          ? tf.tensor(Int32Array.from(data), shape, 'int32')
          : tf.tensor(data, shape, 'float32'),
    })),
  );
  let turn = 0;
  let latest: readonly TfTensor[] = [];
  const drop = (): void => {
    for (const tensor of latest) tensor.dispose();
    latest = [];
  };
  return {
    run: async (count) => {
      for (let i = 0; i < count; i++) {
        drop();
        latest = tf.tidy(() => run(sets[turn++ % copies]));
      }
      await finish(tf);
    },
    read: () => latest[latest.length - 1].data(),
    dispose: async () => {
      drop();
      for (const { tensor } of sets.flat()) tensor.dispose();
    },
  };
}

async function prepareVit(tf: Tfjs): Promise<PeerRun> {
  const { B, T, P, D, depth, H, V } = VIT;
  const weights = vitWeights().map(({ name, values, shape }) => {
    const initial = tf.tensor(values, shape);
    const weight = tf.variable(initial, true, name);
    initial.dispose();
    return weight;
  });
  const batch = vitBatch();
  const patches = tf.tensor(batch.patches, [B * T, P]);
  const classes = tf.tensor(batch.classes, [B, V]);
  const adam = tf.train.adam(1e-3, 0.9, 0.999, 1e-8);
  const forward = (): TfTensor => {
    let used = 0;
    const next = (): TfTensor => weights[used++];
    const linear = (x: TfTensor): TfTensor => tf.add(tf.matMul(x, next()), next());
    const norm = (x: TfTensor): TfTensor => layerNorm(tf, x, next(), next(), 1e-5);
    const rows = (x: TfTensor): TfTensor => tf.reshape(x, [B * T, D]);
    let x = rows(tf.add(tf.reshape(linear(patches), [B, T, D]), next()));
    for (let i = 0; i < depth; i++) {
      const [q, k, v] = tf
        .split(linear(norm(x)), 3, -1)
        .map((part) => tf.transpose(tf.reshape(part, [B, T, H, D / H]), [0, 2, 1, 3]));
      x = tf.add(x, linear(rows(tf.transpose(attention(tf, q, k, v, D / H), [0, 2, 1, 3]))));
      x = tf.add(x, linear(gelu(tf, linear(norm(x)))));
    }
    const logits = linear(tf.mean(tf.reshape(norm(x), [B, T, D]), 1));
    return tf.mul(tf.sum(tf.mul(tf.logSoftmax(logits, -1), classes)), -1 / B);
  };
  let loss: TfTensor | undefined;
  return {
    run: async (count) => {
      for (let i = 0; i < count; i++) {
        const { value, grads } = tf.variableGrads(forward, weights);
        adam.applyGradients(grads);
        for (const gradient of Object.values(grads)) gradient.dispose();
        loss?.dispose();
        loss = value;
      }
      await finish(tf);
    },
    read: () => loss!.data(),
    dispose: async () => {
      for (const tensor of [...weights, patches, classes]) tensor.dispose();
      loss?.dispose();
      adam.dispose();
    },
  };
}
