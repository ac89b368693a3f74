import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { H200, LAVAPIPE, type Target } from '../../engine/gpu/target.ts';
import { planAttention, planBlockTile } from '../../engine/ops/attention/plan.ts';
import { engine } from '../harness.ts';
import { compareOnMatrixUnits } from './attention_on_units.ts';

test('attention on matrix units: causal queries beyond a tile of 32: output and gradients match the twin', () =>
  engine.target.workgroupBytes < 32_768
    ? console.log('skipped: units emulated in f32 need more than 16 KiB of workgroup memory')
    : compareOnMatrixUnits([37, 0, 37, 8], true));

test('attention: the plan multiplies on matrix units where operands may be rounded, on a CPU only if asked', () => {
  const matrixUnit = { M: 16, N: 16, K: 16 };
  const gpu: Target = { ...H200, subgroupSize: 32, matrixUnit, workgroupBytes: 49_152 };
  const cpu: Target = { ...LAVAPIPE, subgroupSize: 8, matrixUnit, workgroupBytes: 32_768 };
  const look = { B: 1, T: 2560, H: 16, K: 72, keys: [729, 2560] };
  assert.equal(planAttention(gpu, look).unit, matrixUnit);
  assert.is(planAttention(gpu, { ...look, products: 'f32' }).unit, undefined);
  assert.is(planAttention(cpu, look).unit, undefined);
  const asked = planAttention(cpu, { ...look, products: 'f16' });
  assert.equal([asked.products, asked.unit], ['tiled', matrixUnit]);
  // Five matrices of 16 columns hold a head of 72; scores take 32 KiB and more.
  const values = { M: 2560, N: 72, K: 3289, planes: 16 };
  const scores = { M: 2560, N: 3289, K: 72, planes: 16 };
  assert.is(planBlockTile(gpu, values, false, matrixUnit).tileN, 80);
  assert.equal(planBlockTile(gpu, scores, true, matrixUnit), { tileM: 128, tileN: 128, splits: 1 });
  assert.is(planBlockTile({ ...gpu, workgroupBytes: 32_768 }, scores, true, matrixUnit).tileM, 64);
  // Default limits: 32 rows and 16 terms of f16, eight more of each, with two subgroups' sums of 16 rows, are
  // 2 * 16 * (40 + 88) + 4 * 16 * 2 * 80 = 14,336 bytes for heads of 80, and 16,896 for heads of 96.
  const least = { ...gpu, workgroupBytes: 16_384 };
  const columns = (N: number): number => planBlockTile(least, { ...values, N }, false, matrixUnit).tileN;
  assert.equal([72, 96, 128].map(columns), [80, 32, 32]);
});

test.run();
