// What a case and another library must agree on: the operation, its operands and how it is run.
import type { TensorData } from '../../engine/index.ts';
import type { DecoderTask } from '../decoder.ts';

/** A generic operation. Its operands are what the case uploads in `prepare`, in that order. */
export type PeerOp =
  /** a [..., M, K], b [..., K, N]. */
  | { readonly name: 'matmul' }
  /** x, along the last axis. */
  | { readonly name: 'softmax' }
  /** x, gamma, beta; over the last axis. */
  | { readonly name: 'layerNorm'; readonly eps: number }
  /** x, with the error function. */
  | { readonly name: 'gelu' }
  /** qkv [1, T, 3C] and cached [1, N, 3C], packed: T queries attend to N + T keys; the result is [1, T, C]. */
  | { readonly name: 'attention'; readonly heads: number }
  /** q [1, T, H, K], k and v [1, T, G, K] of H and G heads: a token attends to itself and those before it. */
  | { readonly name: 'causalAttention'; readonly heads: number; readonly kvHeads: number }
  /** x [N, D], weight [V, D], labels [N], of which negative ones are left out: the mean of -log softmax(x weight')[label]. */
  | { readonly name: 'linearCrossEntropy' }
  /** x [1, n]; the result is the indices of the k largest, descending. */
  | { readonly name: 'topK'; readonly k: number }
  /** table [N, C], indices [k]. */
  | { readonly name: 'gather' }
  /** a, b of one shape. */
  | { readonly name: 'add' }
  /** x. */
  | { readonly name: 'sum'; readonly axis: number }
  /** x. */
  | { readonly name: 'permute'; readonly order: readonly number[] }
  /** x [1, C, Y, X], bicubic (a = -0.75) without antialiasing. */
  | { readonly name: 'bicubic'; readonly size: readonly [number, number] }
  /** The model, weights and batch of ../vit.bench.ts; the result is the loss before the step. */
  | { readonly name: 'vitStep' }
  /** The decoder, cache and tokens of ../decoder.ts; the result is the logits of the next token. */
  | { readonly name: 'decoder'; readonly task: DecoderTask };

export interface Operand {
  readonly data: Float32Array | Uint32Array | Int32Array;
  readonly shape: readonly number[];
}

/** A library on its own device. */
export interface Peer {
  readonly library: string;
  /**
   * Uploads operands and makes ready to run; undefined where neither the op nor a usual composition of others exists.
   *
   * @param copies  how often the operands are uploaded: runs take these in turn
   */
  prepare(op: PeerOp, operands: readonly Operand[], copies: number): Promise<PeerRun> | undefined;
}

export interface PeerRun {
  /** Runs `count` times; resolves when the device is done with all of it. */
  run(count: number): Promise<void>;
  /** Numbers of the latest result. */
  read(): Promise<TensorData>;
  dispose(): Promise<void>;
}

/** Operands of attention as other libraries take them: q [T, H, K], k and v [N + T, H, K], cached rows first. */
export function separated(operands: readonly Operand[], heads: number): [q: Operand, k: Operand, v: Operand] {
  const [own, cached] = operands;
  const C = own.shape[2] / 3;
  const columns = (column: number, parts: readonly Operand[]): Operand => {
    const rows = parts.reduce((sum, { shape }) => sum + shape[1], 0);
    const data = new Float32Array(rows * C);
    let to = 0;
    for (const part of parts)
      for (let row = 0; row < part.shape[1]; row++, to += C) {
        const at = row * 3 * C + column * C;
        data.set(part.data.subarray(at, at + C), to);
      }
    return { data, shape: [rows, heads, C / heads] };
  };
  return [columns(0, [own]), columns(1, [cached, own]), columns(2, [cached, own])];
}

/** Operands of `linearCrossEntropy` for compositions: x, weight, the labels [N, 1], 0 for none, and their shares in the loss [N, 1]. */
export function labelled([x, weight, { data }]: readonly Operand[]): Operand[] {
  const counted = Array.from(data).filter((label) => label >= 0).length;
  const shape = [data.length, 1];
  return [
    ...[x, weight],
    { data: Int32Array.from(data, (label) => Math.max(0, label)), shape },
    { data: Float32Array.from(data, (label) => (label < 0 ? 0 : -1 / counted)), shape },
  ];
}
