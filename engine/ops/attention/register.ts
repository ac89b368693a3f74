// Strips of attention on software adapters: products in registers, an invocation for some rows and columns.
import source from '../../../shaders/attention/register.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { output, run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { planBlock } from '../register_tile.ts';
import {
  flipped,
  fromRow,
  KIND,
  type ProductOperands,
  type ProductSizes,
  type Segment,
  type View,
  Workspace,
} from './views.ts';

const productKernel = kernel(source, 'attention_product');
const turnKernel = kernel(source, 'attention_turn');
const weightsKernel = kernel(source, 'attention_weights');

/** Params of register.wgsl that only products read. */
const UNUSED = {
  ...{ N: 0, groups_m: 0, groups_n: 0, b_start: 0, b_batch: 0, b_head: 0, b_step: 0 },
  ...{ c_start: 0, c_batch: 0, c_head: 0, c_row: 0, c_col: 0, scale: 1 },
};

function placeOfA({ start, batch, head, row, step }: View): Record<string, number> {
  return { a_start: start, a_batch: batch, a_head: head, a_row: row, a_step: step };
}

export class RegisterWorkspace extends Workspace {
  /** 4 MB, which a CPU's cache holds. */
  static mostScores(): number {
    return 2 ** 20;
  }

  get ownFrom(): number {
    return this.layout.cachedKeys;
  }

  scores(like: Tensor): View {
    return this.scratch(like, this.ownFrom + this.layout.ownKeys, this.strip.queries);
  }

  turned(rows: View): View {
    const { K } = this.layout;
    const { planes, queries } = this.strip;
    const to = this.scratch(rows.tensor, K, queries);
    run(turnKernel, {
      bind: { source: rows.tensor, turned: to.tensor },
      params: {
        ...{ ...UNUSED, ...this.where, M: queries, K },
        ...placeOfA(rows),
        ...{ c_start: to.start, c_batch: to.batch, c_head: to.head, c_row: 1, c_col: to.row },
      },
      groups: Math.ceil(
        (planes * queries * Math.ceil(K / turnKernel.constant('RUN'))) / turnKernel.workgroupSize,
      ),
    });
    return to;
  }

  product(
    kind: keyof typeof KIND,
    { M, N, K }: ProductSizes,
    { a, b, c, perQuery, bias, scale = 1, adds = false }: ProductOperands,
  ): void {
    const { planes } = this.strip;
    const starts = [b.start, b.batch, b.head, b.row];
    const span = starts.every((stride) => stride % 4 === 0) ? 4 : 1;
    const lanes = Math.ceil(N / span);
    const { rows, cols, width, handed } = planBlock(c.tensor.gpu, M, lanes, span);
    const [b_start, b_batch, b_head, b_step] = starts.map((stride) => stride / span);
    const groupsM = Math.ceil(M / rows);
    const groupsN = Math.ceil(lanes / cols / width);
    run(productKernel, {
      bind: { a: a.tensor, b: b.tensor, c: c.tensor, per_query: perQuery, mask_bias: bias },
      params: {
        ...{ ...this.where, M, N, K, groups_m: groupsM, groups_n: groupsN, scale },
        ...placeOfA(a),
        ...{ b_start, b_batch, b_head, b_step },
        ...{ c_start: c.start, c_batch: c.batch, c_head: c.head, c_row: c.row, c_col: c.step },
      },
      define: {
        ...{ Lane: span === 4 ? 'vec4f' : 'f32', SPAN: span },
        ...{ ROWS: rows, COLS: cols, WIDTH: width, LANES: handed },
        ...{ KIND: KIND[kind], ADDS: adds, HAS_MASK: !!bias },
      },
      groups: groupsM * groupsN * planes,
      flops: 2 * planes * M * N * K,
    });
  }

  attend(q: Tensor, segments: readonly Segment[], out: Tensor, lse: Tensor): void {
    const { K, kCol, vCol } = this.layout;
    const { planes, queries } = this.strip;
    using inverse = output([out], lse.shape);
    const turned = this.turned(this.queries(q));
    const weights = this.scores(out);
    for (const { tensor, keys, before, bias } of segments) {
      const operands = { a: this.keys(tensor, keys, kCol), b: turned, c: fromRow(weights, before), bias };
      this.product('scores', { M: keys, N: queries, K }, { ...operands, scale: K ** -0.5 });
    }
    const allKeys = this.ownFrom + this.layout.ownKeys;
    run(weightsKernel, {
      bind: { weights: weights.tensor, lse, inverse },
      params: { ...UNUSED, ...this.where, ...placeOfA(weights), M: allKeys, N: queries, K: 0 },
      groups: Math.ceil((planes * queries) / weightsKernel.workgroupSize),
      flops: 10 * planes * queries * allKeys,
    });
    const c = flipped(this.results(out));
    for (const { tensor, keys, before } of segments) {
      const operands = { a: flipped(this.keys(tensor, keys, vCol)), b: fromRow(weights, before), c };
      this.product(
        'normalised',
        { M: K, N: queries, K: keys },
        { ...operands, perQuery: inverse, adds: before > 0 },
      );
    }
  }
}
