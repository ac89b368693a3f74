// The operands of attention: heads of queries, keys and values, in separate tensors or side by side in one.
import { expect, expectDType, expectKeys } from '../../gpu/errors.ts';
import { tidy } from '../../tensor/dispatch.ts';
import { sameShape, show } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { slice } from '../copy.ts';
import { expectSequences } from '../sequences.ts';
import type { AttentionVariant } from './plan.ts';

/** The heads of one operand within a tensor that holds several; `unpackHeads` makes it. */
export interface PackedHeads {
  /** [B, T, width] f32, the columns of an operand side by side. */
  readonly packed: Tensor;
  /** The first of its columns. */
  readonly start: number;
  /** H */
  readonly heads: number;
  /** K, columns of a head. */
  readonly headSize: number;
}

/** [B, T, H, K] f32, or such heads within a packed tensor. */
export type AttentionOperand = Tensor | PackedHeads;

/** How `attention` attends. */
export interface AttentionOptions {
  /** Keys [B, N, G, K] and values [B, N, G, V] of an earlier pass, attended to before k and v. */
  readonly cached?: { readonly k: AttentionOperand; readonly v: AttentionOperand };
  /** [B, M] f32 for the keys k, nonzero = attend; a row of zeros attends to everything. */
  readonly keyMask?: Tensor;
  /** Factor of q k^T. Default 1 / sqrt(K). */
  readonly scale?: number;
  /** Query i sees the cached keys and the keys 0 to offset + i of k. Default: all keys. */
  readonly causal?: boolean;
  /**
   * Of a causal attention: the position of the first query among the keys k, from 0, which it is by default. As i32 on
   * the GPU, [1] or [B], it may change from replay to replay of a capture: k is then a buffer of which the first
   * offset + T rows count. Where it is negative, queries before key 0 see no key of k: those that see none at all get zeros,
   * or, where all scores are held in memory, the mean of all values.
   */
  readonly offset?: number | Tensor;
  /**
   * Where sequences begin that lie behind each other in each row, and where the last one ends: i32 [S + 1] or [B, S + 1],
   * ascending, equal neighbours being an empty one; FlashAttention's `cu_seqlens`. A query sees keys of its own sequence only.
   * Tokens before the first and from the last number on are two more sequences. For as many keys as queries, without `offset`
   * and `cached`.
   */
  readonly sequences?: Tensor;
  /**
   * f32 that broadcasts to [B, H, T, N + M], added to the scores; -infinity hides a key from a query. A query from
   * which all keys are hidden attends to all of them alike (PyTorch gives NaN).
   */
  readonly mask?: Tensor;
  /** Bounds the scores: softcap tanh(scores / softcap). Default: none. */
  readonly softcap?: number;
  /** Overrides the plan, for tests and tuning. */
  readonly force?: AttentionVariant;
}

/** The options that every way of attention takes, for `expectKeys`. */
export const ATTENTION_KEYS = {
  cached: true,
  keyMask: true,
  scale: true,
  causal: true,
  offset: true,
  sequences: true,
  mask: true,
  softcap: true,
} as const;

/** Heads of one operand: where they are, and how many. Counts f32. */
export interface HeadRows {
  readonly tensor: Tensor;
  /** [B, rows, heads, head size] */
  readonly shape: readonly number[];
  /** The first column. */
  readonly start: number;
  /** From one row to the next. */
  readonly row: number;
}

/** The operands of one attention. */
export interface Heads {
  readonly q: HeadRows;
  readonly k: HeadRows;
  readonly v: HeadRows;
  readonly cached: { readonly k: HeadRows; readonly v: HeadRows } | undefined;
}

/**
 * Names the heads of operands that are side by side in one tensor, such as the result of one linear layer for
 * queries, keys and values. Copies nothing; `attention` gives the tensor one gradient.
 *
 *     const [q, k, v] = unpackHeads(qkv, { parts: 3, heads });
 *
 * @param packed   [B, T, parts * H * K] f32, the columns of a part side by side, of a head side by side within
 * @param options.kvHeads  heads of each part but the first, where they are fewer: [B, T, (H + (parts - 1) * G) * K]
 * @returns        one operand [B, T, H, K] per part
 * @throws ShapeError when the width is not a multiple of the heads
 */
export function unpackHeads(
  packed: Tensor,
  options: { readonly parts: 3; readonly heads: number; readonly kvHeads?: number },
): [q: PackedHeads, k: PackedHeads, v: PackedHeads];
export function unpackHeads(
  packed: Tensor,
  options: { readonly parts: number; readonly heads: number; readonly kvHeads?: number },
): PackedHeads[];
export function unpackHeads(
  packed: Tensor,
  options: { readonly parts: number; readonly heads: number; readonly kvHeads?: number },
): PackedHeads[] {
  expectDType('unpackHeads', 'packed', packed, 'f32');
  expectKeys('unpackHeads', options, { parts: true, heads: true, kvHeads: true });
  const { parts, heads, kvHeads = heads } = options;
  const all = heads + (parts - 1) * kvHeads;
  expect(packed.shape.length === 3, 'unpackHeads', 'packed must be [B, T, width]', show(packed.shape));
  expect(
    [parts, heads, kvHeads].every((n) => Number.isInteger(n) && n >= 1) && packed.shape[2] % all === 0,
    'unpackHeads',
    `the width must be a multiple of ${kvHeads === heads ? 'parts * heads' : 'heads + (parts - 1) * kvHeads'}`,
    `width = ${packed.shape[2]}, parts = ${parts}, heads = ${heads}${kvHeads === heads ? '' : `, kvHeads = ${kvHeads}`}`,
  );
  const headSize = packed.shape[2] / all;
  return Array.from({ length: parts }, (_, part) =>
    part === 0
      ? { packed, start: 0, heads, headSize }
      : { packed, start: (heads + (part - 1) * kvHeads) * headSize, heads: kvHeads, headSize },
  );
}

function rowsOf(op: string, name: string, operand: AttentionOperand): HeadRows {
  if (typeof operand === 'object' && operand && 'packed' in operand) {
    const { packed, start, heads, headSize } = operand;
    expectDType(op, name, packed, 'f32');
    const [B, T, row] = packed.shape;
    return { tensor: packed, shape: [B, T, heads, headSize], start, row };
  }
  expectDType(op, name, operand, 'f32');
  const { shape } = operand;
  expect(
    shape.length === 4,
    op,
    `${name} must be [B, rows, heads, head size]`,
    show(shape),
    'unpackHeads names heads within a packed tensor.',
  );
  return { tensor: operand, shape, start: 0, row: shape[2] * shape[3] };
}

/** Checks what `attention` was given. @throws ShapeError */
export function headsOf(
  op: string,
  q: AttentionOperand,
  k: AttentionOperand,
  v: AttentionOperand,
  options: AttentionOptions,
): Heads {
  const { cached, keyMask, mask, softcap, offset = 0, sequences } = options;
  const heads: Heads = {
    q: rowsOf(op, 'q', q),
    k: rowsOf(op, 'k', k),
    v: rowsOf(op, 'v', v),
    cached: cached && { k: rowsOf(op, 'cached.k', cached.k), v: rowsOf(op, 'cached.v', cached.v) },
  };
  const [qB, , H, K] = heads.q.shape;
  const [B, M, G] = heads.k.shape;
  const V = heads.v.shape[3];
  expect(
    (qB === B || qB === 1) &&
      H % G === 0 &&
      sameShape(heads.k.shape, [B, M, G, K]) &&
      sameShape(heads.v.shape, [B, M, G, V]),
    op,
    'q must be [1 or B, T, H, K], k [B, M, G, K] and v [B, M, G, V], H a multiple of G',
    `q ${show(heads.q.shape)}, k ${show(heads.k.shape)} and v ${show(heads.v.shape)}`,
  );
  const N = heads.cached?.k.shape[1] ?? 0;
  if (heads.cached) {
    const { k, v } = heads.cached;
    expect(
      sameShape(k.shape, [B, N, G, K]) && sameShape(v.shape, [B, N, G, V]),
      op,
      `cached.k must be [${B}, N, ${G}, ${K}] and cached.v [${B}, N, ${G}, ${V}]`,
      `${show(k.shape)} and ${show(v.shape)}`,
    );
  }
  expect(N + M > 0, op, 'there must be a key', 'none');
  expect(K > 0, op, 'a head must have elements', `q ${show(heads.q.shape)}`);
  if (mask) {
    const scores = [B, H, heads.q.shape[1], N + M];
    expectDType(op, 'mask', mask, 'f32');
    const rule = `the mask must broadcast to [B, H, T, N + M] = ${show(scores)}`;
    const { length } = mask.shape;
    const fits = length <= 4 && mask.shape.every((n, d) => n === 1 || n === scores[4 - length + d]);
    expect(fits, op, rule, show(mask.shape), 'Reshape it.');
  }
  if (keyMask) {
    expectDType(op, 'keyMask', keyMask, 'f32');
    expect(sameShape(keyMask.shape, [B, M]), op, `keyMask must be [${B}, ${M}]`, show(keyMask.shape));
  }
  if (offset instanceof Tensor) {
    expectDType(op, 'offset', offset, 'i32');
    const fits = offset.shape.length === 1 && (offset.size === 1 || offset.size === B);
    expect(fits, op, `offset must be [1] or [${B}]`, show(offset.shape));
  } else expect(Number.isInteger(offset) && offset >= 0, op, 'offset must be a whole number', `${offset}`);
  if (sequences) {
    expectSequences(op, sequences, B);
    const T = heads.q.shape[1];
    const isAlone = T === M && !cached && options.offset === undefined;
    expect(
      isAlone,
      op,
      'sequences must have as many keys as queries, no cached and no offset',
      `${M} and ${T}`,
    );
  }
  expect(softcap === undefined || softcap > 0, op, 'softcap must be positive', `${softcap}`);
  return heads;
}

/** All of them: q, k, v and, where there are any, the cached keys and values. */
export const listOf = ({ q, k, v, cached }: Heads): HeadRows[] =>
  cached ? [q, k, v, cached.k, cached.v] : [q, k, v];

/**
 * `tidy` for ops that are made of others: they get every operand as a tensor [B, rows, heads, head size].
 *
 * @param others  other tensors, which are passed through
 */
export function tidyHeads<N extends string, T extends Tensor | readonly Tensor[]>(
  heads: Heads,
  others: Readonly<Record<N, Tensor | undefined>>,
  fn: (
    operands: { q: Tensor; k: Tensor; v: Tensor; cached?: { k: Tensor; v: Tensor } },
    others: Readonly<Record<N, Tensor | undefined>>,
  ) => T,
): T {
  const list = listOf(heads);
  const names = Object.keys(others) as N[];
  return tidy([...list.map(({ tensor }) => tensor), ...names.map((name) => others[name])], (...tensors) => {
    const [q, k, v, cachedK, cachedV] = list.map(({ shape, start }, i) => {
      const tensor = tensors[i]!;
      const width = shape[2] * shape[3];
      return (tensor.shape.length === 4 ? tensor : slice(tensor, { axis: 2, start, length: width })).reshape(
        shape,
      );
    });
    const cached = heads.cached && { k: cachedK, v: cachedV };
    const passed = names.map((name, i) => [name, tensors[list.length + i]]);
    return fn({ q, k, v, cached }, Object.fromEntries(passed) as Record<N, Tensor | undefined>);
  });
}
