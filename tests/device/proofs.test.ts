// Kernels that are wrong on purpose are found and left out; those of this device are right.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FAST_PATHS, HELD, PLAIN, ROWS, SPLIT_KV, SUBGROUP_SUMS } from '../../engine/device/proofs.ts';
import type { FastKernel, Target } from '../../engine/gpu/target.ts';
import { l2Normalize, proveKernels } from '../../engine/index.ts';
import { planAttention } from '../../engine/ops/attention/plan.ts';
import { planMatmul } from '../../engine/ops/matmul/plan.ts';
import { planMatrixRows } from '../../engine/ops/matmul/rows.ts';
import { planRows, vectorsOf } from '../../engine/ops/rows.ts';
import { leaveOut, proveAll } from '../../engine/self_test.ts';
import { compare, engine, random } from '../harness.ts';
import { l2Normalize as twin } from '../reference/l2_normalize.ts';
import { breakKernel, expectFound, opened } from './broken.ts';

test('proofs: every kernel that this device takes is right, and nothing is left behind', async () => {
  const other = await opened(engine.gpu.target.kind);
  const { target, tier } = other;
  const before = other.stats();
  const seen: string[] = [];
  const start = performance.now();
  const { proofs, warnings } = await proveKernels(other, ({ feature }) => seen.push(feature));
  console.log(`proofs: ${Math.round(performance.now() - start)} ms`);
  const again = performance.now();
  await proveKernels(other);
  console.log(`proofs: ${Math.round(performance.now() - again)} ms once compiled`);
  assert.equal(warnings, []);
  assert.equal(
    proofs.map(({ feature }) => feature),
    FAST_PATHS.filter((path) => path.isTaken(target)).map(({ feature }) => feature),
  );
  assert.equal(
    seen,
    proofs.map(({ feature }) => feature),
  );
  for (const { feature, cases, error } of proofs) {
    assert.ok(cases >= 3, `${feature}: ${cases} cases`);
    assert.ok(error <= 1e-5, `${feature}: ${error}`);
  }
  assert.equal([other.target, other.tier, other.stats()], [target, tier, before]);
  other.destroy();
});

test('proofs: a step over 32 keys with a body for 16, which skips keys 16 to 31, is found', () =>
  expectFound({
    ...{ path: SPLIT_KV, kind: 'cpu', entry: 'attention_split', kernel: 'split_kv' },
    part: 'j < end; j++',
    replacement: 'j < end; j = select(j + 1u, 32u, j == 15u)',
  }));

test('proofs: sums that are not scaled as the row maximum grows are found', () =>
  expectFound({
    ...{ path: SPLIT_KV, kind: 'cpu', entry: 'attention_split', kernel: 'split_kv' },
    part: 'row_sum *= keep;',
    replacement: '',
  }));

test('proofs: a product of few rows that loses an odd last load is found', () =>
  expectFound({
    ...{ path: ROWS, kind: 'cpu', entry: 'matmul_rows', kernel: 'rows' },
    part: 'k < params.loads;',
    replacement: 'k < max(1u, params.loads - params.loads % 2u);',
  }));

test('proofs: a row in registers that leaves out its last element is found', () =>
  expectFound({
    ...{ path: HELD, kind: 'gpu', entry: 'softmax_held', kernel: 'held' },
    part: 'held_at(k, i) < params.C',
    replacement: 'held_at(k, i) + 1u < params.C',
  }));

test('proofs: subgroups that are smaller than the target says are found, and plain kernels take over', async () => {
  const { subgroupSize } = engine.target;
  if (subgroupSize === 1) return console.log('skipped: needs subgroups');
  const other = await opened('gpu');
  other.gpu.target = { ...other.target, subgroupSize: 2 * subgroupSize };
  const proofs = await proveAll(other.gpu, [SUBGROUP_SUMS]);
  assert.match(proofs[0].fault ?? 'no fault', / instead of .* as number \d+ of a row of unit length/);
  const sentences = leaveOut(other.gpu, FAST_PATHS, proofs);
  assert.match(
    sentences[0],
    /^engine: sums of subgroups must compute .* They are not used; update the driver/,
  );
  assert.is(other.target.subgroupSize, 1);
  const x = random(3 * 37, 1);
  compare('y', await l2Normalize(other.tensor(Float32Array.from(x), [3, 37])).data(), twin(x, 37));
  other.destroy();
});

test('proofs: where plain kernels are wrong, the sentence says that nothing takes their place', async () => {
  const other = await opened('cpu');
  breakKernel(other.gpu, 'rows', 'for (; k < stop; k += ROW_WG)', 'for (; k + 1u < stop; k += ROW_WG)');
  const proofs = await proveAll(other.gpu, [PLAIN]);
  assert.ok(proofs[0].fault);
  const [sentence] = leaveOut(other.gpu, FAST_PATHS, proofs);
  assert.match(sentence, / Nothing takes their place; update the driver\.$/);
  other.destroy();
});

test('plans: a kernel that is left out gives way to another one', () => {
  const target: Target = {
    ...engine.gpu.target,
    ...{ kind: 'gpu', subgroupSize: 32, matrixUnit: undefined, workgroupBytes: 32_768 },
  };
  const less = (kernel: FastKernel): Target => ({ ...target, without: [kernel] });
  const problem = { M: 512, N: 512, K: 512 };
  assert.is(planMatmul(target, problem).kind, 'tiled');
  assert.is(planMatmul(less('tiled'), problem).kind, 'register');
  const unit = { ...less('tiled'), matrixUnit: { M: 16, N: 16, K: 16 } };
  assert.is(planMatmul(unit, problem).kind, 'subgroup_matrix');
  assert.is(planMatmul(unit, { ...problem, products: 'f32' }).kind, 'register');
  const heads = { B: 1, T: 100, H: 2, K: 8, keys: [100] };
  assert.is(planAttention(target, heads).products, 'tiled');
  assert.is(planAttention(less('attention_tiled'), heads).products, 'register');
  const token = { ...heads, T: 1 };
  assert.is(planAttention(target, token).variant, 'split_kv');
  assert.is(planAttention(less('split_kv'), token).variant, 'query_blocks');
  assert.ok(planMatrixRows(target, { M: 1, N: 64 }, true));
  assert.is(planMatrixRows(less('rows'), { M: 1, N: 64 }, true), undefined);
  assert.ok(planRows(target, 9, vectorsOf(64)).held);
  assert.not(planRows(less('held'), 9, vectorsOf(64)).held);
});

test.run();
