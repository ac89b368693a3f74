import source from '../../shaders/sort.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import { Scope, type Tensor } from '../tensor/tensor.ts';
import { rowBlocks } from './rows.ts';

const count = kernel(source, 'sort_count');
const scan = kernel(source, 'sort_scan');
const scatter = kernel(source, 'sort_scatter');

/**
 * Fewest elements per workgroup, so that 256 counters are cheap in comparison, and most workgroups per row.
 */
const LEAST_ELEMENTS = 1024;
const MOST_SPLITS = 256;

/** Elements that a workgroup ranks together; a GPU has few loads in flight otherwise. */
const WG = { gpu: 256, cpu: 64 } as const;

/**
 * Sorts each row of unsigned keys ascending; equal keys keep their order.
 *
 * @param keys_BN       u32 [B, N]
 * @param options.bits  how many low bits of the keys may differ from zero, default 32: the work is one pass per 8 bits
 * @returns             keys [B, N] ascending, and order [B, N]: the position in the row that each came out of
 * @throws ShapeError when keys is not [B, N] or bits is outside 1..32
 */
export function sortKeys(
  keys_BN: Tensor,
  options: { readonly bits?: number } = {},
): {
  keys: Tensor<'u32'>;
  order: Tensor<'u32'>;
} {
  expectDType('sortKeys', 'keys', keys_BN, 'u32');
  expectKeys('sortKeys', options, { bits: true });
  const { bits = 32 } = options;
  expect(keys_BN.shape.length === 2, 'sortKeys', 'keys must be [B, N]', show(keys_BN.shape));
  expect(bits >= 1 && bits <= 32, 'sortKeys', 'bits must be within 1..32', `${bits}`);
  const [B, N] = keys_BN.shape;
  const bins = count.constant('BINS');
  const digitBits = Math.log2(bins);
  const passes = Math.ceil(bits / digitBits);
  const split_elements = Math.max(LEAST_ELEMENTS, Math.ceil(N / MOST_SPLITS));
  const splits = Math.max(1, Math.ceil(N / split_elements));
  const blocks = [...rowBlocks(B, 4 * bins * splits)];
  using counts = output([keys_BN], [Math.max(0, ...blocks.map(({ rows }) => rows)), splits, bins], 'u32');

  const { kind, unrolled: UNROLLED } = keys_BN.gpu.target;
  const define = { WG: WG[kind], UNROLLED };

  let sorted: { keys: Tensor<'u32'>; order: Tensor<'u32'> } | undefined;
  for (let pass = 0; pass < passes; pass++) {
    const { keys, order } = sorted ?? { keys: keys_BN, order: keys_BN };
    const sorted_keys = output([keys_BN], [B, N], 'u32');
    const sorted_order = output([keys_BN], [B, N], 'u32');
    for (const { first, rows } of blocks) {
      using views = new Scope();
      const block = (x: Tensor): Tensor => x.view(first * N, [rows, N]).moveTo(views);
      const moved = { keys: block(keys), order: block(order) };
      const params = { B: rows, N, split_elements, splits, shift: pass * digitBits };
      run(count, { bind: { keys: moved.keys, counts }, params, define, groups: rows * splits });
      run(scan, { bind: { counts }, params, define, groups: rows });
      run(scatter, {
        bind: { ...moved, counts, sorted_keys: block(sorted_keys), sorted_order: block(sorted_order) },
        params,
        define,
        groups: rows * splits,
      });
    }
    sorted?.keys.dispose();
    sorted?.order.dispose();
    sorted = { keys: sorted_keys, order: sorted_order };
  }
  return sorted!;
}
