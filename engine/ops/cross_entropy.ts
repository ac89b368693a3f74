import source from '../../shaders/cross_entropy.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { type ProductDType, record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { sameShape, show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { accumulate } from './broadcasting.ts';
import { currentProducts, FLOATS, multiply } from './matmul/product.ts';
import { planRows, vectorsOf } from './rows.ts';

const foldRows = kernel(source, 'cross_entropy_rows');
const takeMean = kernel(source, 'cross_entropy_mean');
const makeSlopes = kernel(source, 'cross_entropy_slopes');

/** Which labels count. */
export interface CrossEntropyOptions {
  /** Rows with this label have no part in the loss. Default -100, as in PyTorch; its bits where labels are u32. */
  readonly ignoreIndex?: number;
}

/**
 * Cross-entropy of logits, as its mean over the rows that count: log sum_v e^logits[n, v] - logits[n, labels[n]].
 * 0 where no row counts; NaN where a label that counts is no column.
 *
 * @param logits  [..., V] f32
 * @param labels  [...] u32 or i32
 * @returns       [1]
 * @throws ShapeError when the labels are not as many as the rows
 */
export function crossEntropy(
  logits: Tensor,
  labels: Tensor,
  options: CrossEntropyOptions = {},
): Tensor<'f32'> {
  const op = 'crossEntropy';
  expectDType(op, 'logits', logits, 'f32');
  const V = logits.shape.at(-1) ?? 0;
  const rows = rowsOf(op, 'logits', logits, labels, options);
  const call = { ...rows, V, row: 0, column: 0 };
  using flat = logits.alias([rows.N, V]);
  using state = output([logits], [rows.N, 4]);
  fold(flat, labels, state, call);
  const { loss, lse, count } = meanOf(logits, labels, state, call);
  record(op, {
    inputs: [logits],
    output: loss,
    saved: { logits, labels, lse, count },
    backward: (dloss, saved) => {
      const dlogits = output([dloss], saved.logits.shape);
      dlogits.gpu.copy(saved.logits.range, dlogits.range);
      using flat = dlogits.alias([rows.N, V]);
      slopes(flat, dloss, saved, call);
      return [dlogits];
    },
  });
  lse.dispose();
  count.dispose();
  return loss;
}

/**
 * Cross-entropy of the logits x weight^T, which are never in memory as a whole: strips of them are made, and in backward made
 * again. The same as `crossEntropy(linear(x, weight), labels)`, in the memory of x, 32 MiB of logits and a strip of the weight.
 *
 * @param x       [..., D] f32, the hidden state
 * @param weight  [V, D] f32, or f16 or bf16 without a gradient; it may be larger than a binding
 * @param labels  [...] u32 or i32
 * @returns       [1], the mean over the rows that count; 0 where none does, NaN where a label that counts is no row of weight
 * @throws ShapeError when weight or labels do not fit x
 * Source of the method: Hsu et al. 2024, arXiv:2410.10989 (Liger kernels).
 */
export function linearCrossEntropy(
  x: Tensor,
  weight: Tensor,
  labels: Tensor,
  options: CrossEntropyOptions = {},
): Tensor<'f32'> {
  const op = 'linearCrossEntropy';
  expectDType(op, 'x', x, 'f32');
  expectDType(op, 'weight', weight, ...FLOATS);
  const [V] = weight.shape;
  expect(
    weight.shape.length === 2 && weight.shape[1] === x.shape.at(-1),
    op,
    'weight must be [V, D] with the last extent of x as D',
    `x ${show(x.shape)} and weight ${show(weight.shape)}`,
  );
  const rows = rowsOf(op, 'x', x, labels, options);
  const { forward: products } = currentProducts();
  const plan = { ...rows, V, products: products ?? ('f32' as const) };
  using state = output([x, weight], [rows.N, 4]);
  for (const strip of strips(x, weight, plan)) {
    for (const block of strip.blocks()) {
      fold(block.logits, labels, state, { ...plan, row: block.row, column: strip.column });
      block.dispose();
    }
    strip.weight.dispose();
  }
  const { loss, lse, count } = meanOf(x, labels, state, plan);
  record(op, {
    inputs: [x, weight],
    output: loss,
    saved: { x, weight, labels, lse, count },
    addsTo: [1],
    backward: (dloss, saved, needs, _all, [, total]) => linearBackward(dloss, saved, needs, plan, total),
  });
  lse.dispose();
  count.dispose();
  return loss;
}

/** Rows of a problem, and which label does not count. */
interface Rows {
  readonly N: number;
  /** As u32. */
  readonly ignored: number;
}

interface Problem extends Rows {
  readonly V: number;
}

/** Where a block begins among all rows and columns. */
interface Place extends Problem {
  readonly row: number;
  readonly column: number;
}

interface Plan extends Problem {
  readonly products: ProductDType;
}

/** What the backward pass reads. */
interface Saved {
  readonly labels: Tensor;
  readonly lse: Tensor;
  readonly count: Tensor;
}

function linearBackward(
  dloss: Tensor,
  saved: Saved & { readonly x: Tensor; readonly weight: Tensor },
  needs: readonly boolean[],
  plan: Plan,
  total: Tensor | undefined,
): (Tensor | undefined)[] {
  const { x, weight } = saved;
  const { products } = plan;
  const dweight = total ?? (needs[1] ? output([dloss], weight.shape) : undefined);
  const dxs: Tensor[] = [];
  const D = weight.shape[1];
  for (const strip of strips(x, weight, plan)) {
    let dstrip: Tensor | undefined;
    let i = 0;
    for (const block of strip.blocks()) {
      slopes(block.logits, dloss, saved, { ...plan, row: block.row, column: strip.column });
      if (needs[0]) {
        const before: Tensor | undefined = dxs[i];
        dxs[i++] = multiply(block.logits, strip.weight, { residual: before, products });
        before?.dispose();
      }
      if (needs[1]) {
        const before: Tensor | undefined = dstrip;
        dstrip = multiply(block.logits, block.x, { transposeA: true, residual: before, products });
        before?.dispose();
      }
      block.dispose();
    }
    if (dweight && dstrip) {
      using part = dweight.view(strip.column * D, dstrip.shape);
      if (total) accumulate(part, dstrip);
      else dloss.gpu.copy(dstrip.range, part.range);
      dstrip.dispose();
    }
    strip.weight.dispose();
  }
  if (!needs[0]) return [undefined, dweight];
  const dx = output([dloss], x.shape);
  let row = 0;
  for (const part of dxs) {
    using place = dx.view(row * D, part.shape);
    dloss.gpu.copy(part.range, place.range);
    row += part.shape[0];
    part.dispose();
  }
  return [dx, dweight];
}

/** Logits in memory at a time, 32 MiB, and numbers of a strip of the weight, which may have to be transposed. */
const STRIP_NUMBERS = 2 ** 23;
/** Where a strip begins, each dtype begins at a multiple of 256 bytes, the alignment of bindings. */
const STRIP_ROWS = 128;

/** Rows and columns of a block of logits. */
export function planCrossEntropy(
  { N, V, D }: { readonly N: number; readonly V: number; readonly D: number },
  bindingBytes: number,
): { readonly rows: number; readonly columns: number } {
  const whole = (count: number): number => Math.max(STRIP_ROWS, Math.floor(count / STRIP_ROWS) * STRIP_ROWS);
  const rows = Math.min(N, whole(bindingBytes / 4 / D), 8192);
  const numbers = Math.min(STRIP_NUMBERS, bindingBytes / 4);
  return { rows, columns: Math.min(V, whole(numbers / Math.max(rows, D))) };
}

interface Block {
  readonly row: number;
  readonly x: Tensor;
  readonly logits: Tensor;
  readonly dispose: () => void;
}

/** Strips of the weight, whose `blocks` are blocks of rows of x with their logits; the caller disposes all. */
function* strips(
  x: Tensor,
  weight: Tensor,
  { N, V, products }: Plan,
): Generator<{ column: number; weight: Tensor; blocks: () => Generator<Block> }> {
  const D = weight.shape[1];
  const { rows, columns } = planCrossEntropy({ N, V, D }, x.gpu.limits.maxStorageBufferBindingSize);
  for (let column = 0; column < V; column += columns) {
    const strip = weight.view(column * D, [Math.min(columns, V - column), D]);
    yield {
      column,
      weight: strip,
      *blocks() {
        for (let row = 0; row < N; row += rows) {
          const block = x.view(row * D, [Math.min(rows, N - row), D]);
          const logits = multiply(block, strip, { transposeB: true, products });
          const dispose = () => {
            logits.dispose();
            block.dispose();
          };
          yield { row, x: block, logits, dispose };
        }
      },
    };
  }
}

/** Folds a block of logits into the state of its rows. */
function fold(logits: Tensor, labels: Tensor, state: Tensor, place: Place): void {
  const { define, params, groups } = rowCall(logits, place);
  run(foldRows, { bind: { labels, logits, state }, params, define, groups, flops: 8 * logits.size });
}

/** The loss, and what backward needs. */
function meanOf(x: Tensor, labels: Tensor, state: Tensor, { N, V, ignored }: Problem) {
  const loss = output([x], [1]);
  const lse = output([x], [N]);
  const count = output([x], [1]);
  const params = { N, V, ignored };
  run(takeMean, { bind: { labels, lse, state, loss, count }, params, groups: 1 });
  return { loss, lse, count };
}

/** Makes gradients of a block of logits, in place. */
function slopes(logits: Tensor, dloss: Tensor, { labels, lse, count }: Saved, place: Place): void {
  const { define, params, groups } = rowCall(logits, place);
  run(makeSlopes, {
    bind: { labels, slopes: logits, row_lses: lse, dloss, counted_rows: count },
    params,
    define,
    groups,
    flops: 6 * logits.size,
  });
}

function rowCall(logits: Tensor, { N, V, row, column, ignored }: Place) {
  const [R, C] = logits.shape;
  const vectors = vectorsOf(C);
  const { define, groups } = planRows(logits.gpu.target, R);
  return {
    define: { ...vectors.define, Vecs: vectors.vec === 4 ? 'array<vec4f, 1>' : 'vec4f', ...define },
    params: { R, C: vectors.perRow, row, N, column, V, ignored },
    groups,
  };
}

function rowsOf(op: string, name: string, x: Tensor, labels: Tensor, options: CrossEntropyOptions): Rows {
  expectDType(op, 'labels', labels, 'u32', 'i32');
  expectKeys(op, options, { ignoreIndex: true });
  const { ignoreIndex = -100 } = options;
  const lead = x.shape.slice(0, -1);
  const fits = x.shape.length > 0 && sameShape(labels.shape, lead);
  expect(fits, op, `labels must be ${show(lead)}, one for each row of ${name}`, show(labels.shape));
  expect(Number.isInteger(ignoreIndex), op, 'ignoreIndex must be a whole number', `${ignoreIndex}`);
  return { N: labels.size, ignored: ignoreIndex >>> 0 };
}
