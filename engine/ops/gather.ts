import source from '../../shaders/gather.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { type Define, type Kernel, kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { noGrad, record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';
import { cast } from './cast.ts';
import { fill } from './fill.ts';
import type { QuantizedMatrix } from './quantize.ts';
import { isQuantized } from './quantized.ts';
import { vectorsOf } from './rows.ts';
import { sortKeys } from './sort.ts';

const gather = kernel(source, 'gather_rows');
const scatter = kernel(source, 'scatter_rows');
const makeKeys = kernel(source, 'gather_keys');
const findStarts = kernel(source, 'gather_starts');
const sumHeads = kernel(source, 'gather_heads');
const sumRows = kernel(source, 'gather_dtable');

/** Entries of the sorted list that are summed together: about the root of the longest segment worth planning for. */
const SPLIT_ENTRIES = { gpu: 64, cpu: 128 } as const;

/**
 * Rows of a table by index: y[..., :] = table[indices[...], :].
 *
 * An index outside the table reads a row of zeros and receives no gradient. The gradient of the table adds the rows
 * of repeated indices in the order of the list, without atomics: equal runs are bitwise equal.
 *
 * @param table    [R, C] with indices of any shape (embedding), or [B, N, C] with indices [B, k] (tokens of each batch element);
 *                 f32, or f16 or bf16 with an even C, or integers of `quantize`, of which only the rows taken are widened
 * @param indices  u32 or i32
 * @param options.unique  promises that no index repeats within a table, which makes the gradient a plain scatter
 * @returns        [..., C], or [B, k, C], f32
 * @throws ShapeError when the ranks do not match one of the two forms, or C is odd in half precision
 */
export function embedding(
  table: Tensor | QuantizedMatrix,
  indices: Tensor,
  options: { readonly unique?: boolean } = {},
): Tensor<'f32'> {
  if (!isQuantized(table)) expectDType('embedding', 'table', table, 'f32', 'f16', 'bf16');
  expectDType('embedding', 'indices', indices, 'u32', 'i32');
  expectKeys('embedding', options, { unique: true });
  if (isQuantized(table)) return table.rows(indices);
  const { unique = false } = options;
  const rank = table.shape.length;
  const batched = rank === 3;
  expect(
    rank === 2 || (batched && indices.shape.length === 2 && indices.shape[0] === table.shape[0]),
    'embedding',
    'table must be [R, C], or [B, N, C] with indices [B, k]',
    `table ${show(table.shape)} and indices ${show(indices.shape)}`,
  );
  const C = table.shape[rank - 1];
  const shape = layoutOf(batched ? table.shape[0] : 1, table.shape[rank - 2], C, indices);
  const y = isF32(table) ? takeRows(table, indices, shape) : takePacked(table, indices, shape);
  return record('embedding', {
    inputs: [table],
    output: y,
    saved: { indices },
    addsTo: unique ? [] : [0],
    backward: (dy, saved, _needs, _all, [total]) => {
      if (!unique) {
        const dtable = total ?? output([dy], table.shape);
        addDtable(dy, saved.indices, dtable, shape, total !== undefined);
        return [dtable];
      }
      const tables = batched ? table.shape[0] : 1;
      const rows = scatterRows(
        dy.reshape([tables, shape.params.per_table, C]),
        saved.indices.reshape([tables, shape.params.per_table]),
        shape.params.N,
      );
      return [rows.reshape(table.shape)];
    },
  });
}

function isF32(table: Tensor): table is Tensor<'f32'> {
  return table.dtype === 'f32';
}

function takeRows<D extends DType>(table: Tensor<D>, indices: Tensor, layout: Layout): Tensor<D> {
  const y = output([table, indices], [...indices.shape, layout.columns], table.dtype);
  if (layout.params.rows === 0) fill(y, 0);
  move(gather, layout, { indices, rows: ['table', table], list: ['y', y] });
  return y;
}

/** Rows of 16-bit elements are moved as words of two and widened afterwards. */
function takePacked(table: Tensor, indices: Tensor, layout: Layout): Tensor<'f32'> {
  const { columns, params } = layout;
  expect(
    columns % 2 === 0,
    'embedding',
    `C must be even in ${table.dtype}`,
    show(table.shape),
    'Store it as f32.',
  );
  const { perRow, vec } = vectorsOf(columns / 2);
  const define = { Vec: vec === 4 ? 'vec4u' : 'u32', VEC: vec };
  using packed = takeRows(table, indices, { columns, define, params: { ...params, C: perRow } });
  return noGrad(() => cast(packed, 'f32'));
}

/**
 * Gradient of the table where indices repeat: sort the indices, then every table row sums its segment.
 *
 * @param ADDS  adds to dtable what its rows get, and otherwise writes all of it
 */
function addDtable(dy: Tensor, indices: Tensor, dtable: Tensor, layout: Layout, ADDS: boolean): void {
  const { M, C, rows } = layout.params;
  const { splitEntries, rows: WG_ROWS, fourLoads } = planGather(dy.gpu.target, C);
  const define = { ...layout.define, FOUR_IN_FLIGHT: fourLoads, WG_ROWS, ADDS };
  const params = { ...layout.params, split_entries: splitEntries, offset: 0, first: 0, end: rows };
  if (M === 0) {
    if (!ADDS) fill(dtable, 0);
    return;
  }
  using keys = output([dy], [1, M], 'u32');
  run(makeKeys, { bind: { indices, keys }, params, define, groups: Math.ceil(M / makeKeys.workgroupSize) });
  const sorted = sortKeys(keys, { bits: Math.floor(Math.log2(Math.max(1, rows))) + 1 });
  using starts = output([dy], [rows + 1], 'u32');
  run(findStarts, {
    bind: { sorted: sorted.keys, starts },
    params,
    define,
    groups: Math.ceil((rows + 1) / findStarts.workgroupSize),
  });
  const splits = Math.ceil(M / splitEntries);
  using heads = output([dy], [splits, layout.columns]);
  const bind = { sorted: sorted.keys, starts, order: sorted.order, dy, heads };
  if (splits > 1) run(sumHeads, { bind, params, define, groups: Math.ceil(splits / WG_ROWS) });
  for (const [first, end] of pieces(dtable, rows)) {
    using part = viewRows(dtable, first, end, layout.columns);
    run(sumRows, {
      bind: { ...bind, dtable: part },
      params: { ...params, first, end },
      define,
      groups: Math.ceil((end - first) / WG_ROWS),
      bytes: dy.sizeBytes + (ADDS ? dy.sizeBytes : part.sizeBytes),
    });
  }
  sorted.keys.dispose();
  sorted.order.dispose();
}

/**
 * Puts rows at their places in a grid of zeros: y[b, indices[b, j], :] = x[b, j, :]. The adjoint of a unique gather.
 *
 * @param x_BkC       f32 [B, k, C]
 * @param indices_Bk  u32 or i32, no index twice in a row; one outside 0..N-1 is dropped
 * @param N           rows of the grid
 * @returns           [B, N, C]
 * @throws ShapeError when x is not [B, k, C] or indices is not [B, k]
 */
export function scatterRows(x_BkC: Tensor, indices_Bk: Tensor, N: number): Tensor<'f32'> {
  expectDType('scatterRows', 'x', x_BkC, 'f32');
  expectDType('scatterRows', 'indices', indices_Bk, 'u32', 'i32');
  const [B, k, C] = x_BkC.shape;
  expect(
    x_BkC.shape.length === 3 &&
      indices_Bk.shape.length === 2 &&
      indices_Bk.shape[0] === B &&
      indices_Bk.shape[1] === k,
    'scatterRows',
    'x must be [B, k, C] and indices [B, k]',
    `x ${show(x_BkC.shape)} and indices ${show(indices_Bk.shape)}`,
  );
  const shape = layoutOf(B, N, C, indices_Bk);
  const y = fill(output([x_BkC, indices_Bk], [B, N, C]), 0);
  move(scatter, shape, { indices: indices_Bk, rows: ['y', y], list: ['x', x_BkC] });
  return record('scatterRows', {
    inputs: [x_BkC],
    output: y,
    saved: { indices: indices_Bk },
    backward: (dy, saved) => [embedding(dy, saved.indices, { unique: true })],
  });
}

interface Layout {
  /** Elements per row. */
  readonly columns: number;
  readonly define: Define;
  /** C counts vectors of four elements where the columns divide by four. */
  readonly params: { M: number; N: number; C: number; per_table: number; rows: number };
}

function layoutOf(tables: number, N: number, columns: number, indices: Tensor): Layout {
  const { perRow, define } = vectorsOf(columns);
  const M = indices.size;
  return {
    columns,
    define,
    params: {
      M,
      N,
      C: perRow,
      per_table: Math.max(1, M / tables),
      rows: tables * N,
    },
  };
}

/** How rows of C vectors are moved and summed. */
interface GatherPlan {
  /** Rows of a workgroup. */
  readonly rows: number;
  /** Entries of the sorted list that are summed together. */
  readonly splitEntries: number;
  /** Four loads are in flight together. */
  readonly fourLoads: boolean;
}

/**
 * As many rows to a workgroup as leave no invocation idle; on a CPU more, whose invocations read fastest along a row. Measured on
 * lavapipe and an H200.
 */
export function planGather({ kind }: Target, C: number): GatherPlan {
  const exponent = Math.max(
    kind === 'cpu' ? 4 : 0,
    Math.floor(Math.log2(gather.workgroupSize / Math.max(1, C))),
  );
  return { rows: 2 ** exponent, splitEntries: SPLIT_ENTRIES[kind], fourLoads: kind === 'gpu' };
}

/** Gather or scatter between a table's rows and a list of rows, both in pieces that fit into one binding. */
function move(
  kernel: Kernel,
  { columns, define, params }: Layout,
  operands: { indices: Tensor; rows: readonly [string, Tensor]; list: readonly [string, Tensor] },
): void {
  const { rows: WG_ROWS, splitEntries } = planGather(operands.indices.gpu.target, params.C);
  const [tableName, table] = operands.rows;
  const [listName, list] = operands.list;
  for (const [offset, listEnd] of pieces(list, params.M)) {
    const M = listEnd - offset;
    using part = viewRows(list, offset, listEnd, columns);
    using indices = operands.indices.view(offset, [M]);
    for (const [first, end] of pieces(table, params.rows)) {
      using rows = viewRows(table, first, end, columns);
      run(kernel, {
        bind: { indices, [tableName]: rows, [listName]: part },
        params: { ...params, split_entries: splitEntries, M, offset, first, end },
        define: { ...define, WG_ROWS },
        groups: Math.ceil(M / WG_ROWS),
        bytes: indices.sizeBytes + 2 * part.sizeBytes,
      });
    }
  }
}

const viewRows = (x: Tensor, first: number, end: number, columns: number): Tensor =>
  x.view(first * columns, [end - first, columns]);

/** Cuts rows into runs that each fit into one binding, beginning at multiples of 64 rows, hence of 256 bytes. */
function* pieces(x: Tensor, rows: number): Generator<[first: number, end: number]> {
  const limitBytes = x.gpu.limits.maxStorageBufferBindingSize;
  const rowBytes = Math.max(1, x.sizeBytes / Math.max(1, rows));
  const step = Math.max(64, Math.floor(limitBytes / rowBytes / 64) * 64);
  for (let first = 0; first < rows; first += step) yield [first, Math.min(rows, first + step)];
}
