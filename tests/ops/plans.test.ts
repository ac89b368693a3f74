// What each family plans for the two targets that were measured, as pure functions: no device takes part.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { H200, LAVAPIPE, type Target } from '../../engine/gpu/target.ts';
import { planColumnSum } from '../../engine/ops/column_sum.ts';
import { planContrastive } from '../../engine/ops/contrastive.ts';
import { planDepthwiseConv } from '../../engine/ops/depthwise_conv.ts';
import { planScatter } from '../../engine/ops/elements.ts';
import { planFinite } from '../../engine/ops/finite.ts';
import { planGather } from '../../engine/ops/gather.ts';
import { planDparams } from '../../engine/ops/layer_norm.ts';
import { planPatchGather } from '../../engine/ops/patch_gather.ts';
import { planReduce } from '../../engine/ops/reduce_plan.ts';
import { planRows, vectorsOf } from '../../engine/ops/rows.ts';
import { planTopK } from '../../engine/ops/top_k.ts';

const cpu: Target = {
  ...LAVAPIPE,
  subgroupSize: 8,
  matrixUnit: undefined,
  unrolledRegisters: false,
  workgroupBytes: 32_768,
};
const gpu: Target = {
  ...H200,
  subgroupSize: 32,
  matrixUnit: undefined,
  unrolledRegisters: false,
  workgroupBytes: 49_152,
};

test('plans: rows go to invocations on a CPU once they fill it, and are held by subgroups or workgroups on a GPU', () => {
  assert.equal(planRows(cpu, 63, vectorsOf(1152)), { held: false, define: {}, groups: 63 });
  assert.equal(planRows(cpu, 729, vectorsOf(1152)), {
    held: false,
    define: { ROW_WG: 1, WG_ROWS: 8 },
    groups: 92,
  });
  const long = { held: false, define: { ROW_WG: 64, ROW_CHAIN: 64 }, groups: 729 };
  assert.equal(planRows(cpu, 729, vectorsOf(4096)).define, { ROW_WG: 1, WG_ROWS: 8 });
  for (const C of [4097, 4100, 100_000]) assert.equal(planRows(cpu, 729, vectorsOf(C)), long);
  assert.equal(planRows(gpu, 729, vectorsOf(100_000)), long);
  const subgroup = { ROW_WG: 32, HELD: 9, fold: 'fold_subgroup' }; // 288 vec4 for 32 invocations
  assert.equal(planRows(gpu, 729, vectorsOf(1152)), { held: true, define: subgroup, groups: 729 });
  const workgroup = { ROW_WG: 128, HELD: 9 }; // 1076 vec4, 12 to each of 128 at most
  assert.equal(planRows(gpu, 7, vectorsOf(4304)), { held: true, define: workgroup, groups: 7 });
  assert.is(planRows(gpu, 7, vectorsOf(4 * 12 * 256)).held, true);
  assert.is(planRows(gpu, 7, vectorsOf(4 * 12 * 256 + 4)).held, false); // longer than 256 invocations can hold
  assert.is(planRows({ ...gpu, subgroupSize: 1 }, 7, vectorsOf(33)).define.fold, undefined);
  assert.equal(planRows(gpu, 7), { held: false, define: {}, groups: 7 });
});

test('plans: splits of a reduced axis cover it, none is empty, and they are as many as keep the cores busy', () => {
  for (const target of [cpu, gpu])
    for (const isRow of [true, false])
      for (const [O, K, I] of [
        [1, 1_000_003, 1],
        [3289, 4304, 1],
        [1, 9, 4],
        [2, 129, 3],
        [1, 40_000, 1152],
      ]) {
        const { splits, splitK } = planReduce(target, { O, K, I, isRow });
        assert.ok(splits >= 1 && splits * splitK >= K && (splits - 1) * splitK < K, `${O} ${K} ${I}`);
      }
  assert.is(planReduce(cpu, { O: 1, K: 16_777_216, I: 1, isRow: true }).splits, 1024);
  assert.is(planReduce(gpu, { O: 1, K: 16_777_216, I: 1, isRow: true }).splits, 2048);
  assert.is(planReduce(gpu, { O: 1, K: 128, I: 4, isRow: false }).splits, 1); // sooner than a second dispatch
  assert.is(planReduce(cpu, { O: 1, K: 128, I: 4, isRow: false }).splits, 4);
});

test('plans: sums of columns share splits within a workgroup on a GPU only, and have several once there are many rows', () => {
  assert.equal(planColumnSum(cpu, 512, 64), { splitRows: 512, wgSplits: 0 });
  assert.equal(planColumnSum(cpu, 513, 64), { splitRows: 64, wgSplits: 0 });
  assert.equal(planColumnSum(gpu, 512, 64), { splitRows: 512, wgSplits: 32 });
  const { splitRows, wgSplits } = planColumnSum(gpu, 3289, 1152);
  assert.ok(
    wgSplits === 32 && splitRows >= 128 && splitRows < 3289,
    `${splitRows} rows, ${wgSplits} invocations`,
  );
});

test('plans: row gathers, scatters and top-k take what was measured for each kind', () => {
  assert.equal(planGather(cpu, 288), { rows: 16, splitEntries: 128, fourLoads: false });
  assert.equal(planGather(gpu, 288), { rows: 1, splitEntries: 64, fourLoads: true });
  assert.is(planGather(gpu, 4).rows, 16);
  assert.is(planScatter(cpu, { O: 1, N: 100, I: 64 }), undefined);
  assert.is(planScatter(gpu, { O: 1, N: 100, I: 64 }), 32);
  assert.is(planScatter(gpu, { O: 1, N: 5, I: 64 }), 5);
  const four = { SCAN_WG: 16, SCAN_SIDE: 4, IN_FLIGHT: 1 };
  assert.equal(planTopK(cpu, 72_900), { splitElements: 8192, splits: 9, define: four, rankShared: false });
  const many = { SCAN_WG: 256, SCAN_SIDE: 16, IN_FLIGHT: 4 };
  assert.equal(planTopK(gpu, 72_900), { splitElements: 2048, splits: 36, define: many, rankShared: true });
  assert.equal([planFinite(cpu, 8), planFinite(gpu, 8), planFinite(gpu, 7)], [false, true, false]);
});

test('plans: convolutions, patches, parameter gradients and the loss cut their work finer on a GPU', () => {
  const geometry = { B: 1, Y: 54, X: 54, C: 512, side: 7 };
  const onCpu = planDepthwiseConv(cpu, geometry);
  assert.equal(onCpu, { columnSplits: 1, dweightSplits: 3, sumsFirst: false });
  const onGpu = planDepthwiseConv(gpu, geometry);
  assert.equal(onGpu, { columnSplits: undefined, dweightSplits: 54, sumsFirst: true });
  assert.equal([planPatchGather(cpu, 14), planPatchGather(gpu, 14)], [14, 1]);
  assert.equal(planDparams(cpu, 729), { splits: 23, inWorkgroup: false });
  assert.equal(planDparams(gpu, 729), { splits: 92, inWorkgroup: true });
  assert.equal([planContrastive(cpu, 8192), planContrastive(gpu, 8192)], [256, 1024]);
});

test.run();
