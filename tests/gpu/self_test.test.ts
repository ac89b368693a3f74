import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Gpu } from '../../engine/gpu/gpu.ts';
import type { Kernel } from '../../engine/gpu/kernel.ts';
import type { Bindings, KernelCall } from '../../engine/gpu/launch.ts';
import { Engine, matmul } from '../../engine/index.ts';
import { selfTest } from '../../engine/self_test.ts';
import { compare, engine, random } from '../harness.ts';
import { matmul as twin } from '../reference/matmul.ts';

/** Lets `broken` change the calls of every kernel on this device, tried ones included. */
function breakKernels(gpu: Gpu, broken: Gpu['run']): void {
  const { sibling } = gpu;
  gpu.sibling = () => Object.assign(sibling.call(gpu), { run: broken });
}

const usesSubgroups = engine.gpu.target.kind === 'cpu' && engine.gpu.target.subgroupSize > 1;

test('self-test: a right device keeps its features and has no warnings', async () => {
  assert.equal(engine.warnings, []);
  const { tier, target } = engine.gpu;
  const before = engine.stats();
  const start = performance.now();
  assert.equal(await selfTest(engine.gpu, { again: true }), []);
  console.log(`self-test: ${Math.round(performance.now() - start)} ms`);
  assert.equal(engine.stats(), before, 'it leaves no trace');
  assert.equal([engine.gpu.tier, engine.gpu.target], [tier, target]);
});

test('self-test: subgroups that broadcast wrong numbers are found, named and not used', async () => {
  if (!usesSubgroups) return console.log('skipped: needs subgroups of 4 or 8');
  const other = await Engine.create();
  const { run } = Object.getPrototypeOf(other.gpu) as Gpu;
  breakKernels(other.gpu, function (this: Gpu, kernel, bind, call) {
    const subgroup = Number(call.define?.SUBGROUP ?? 1);
    run.call(this, kernel, bind, subgroup > 1 ? { ...call, params: { ...call.params, scale: 1.01 } } : call);
  });
  const warnings = await selfTest(other.gpu, { again: true });
  assert.is(warnings.length, 1);
  assert.match(
    warnings[0],
    /^engine: subgroups must compute what plain kernels do, got .* instead of .*\. They are not used/,
  );
  assert.equal([other.gpu.tier, other.gpu.target.subgroupSize], [1, 1]);
  const [a, b] = [random(16 * 9, 1), random(9 * 8, 2)];
  const c = matmul(other.tensor(Float32Array.from(a), [16, 9]), other.tensor(Float32Array.from(b), [9, 8]));
  compare('c', await c.data(), twin(a, b, { M: 16, N: 8, K: 9 }));
  other.destroy();
});

test('self-test: subgroups that add up wrong numbers are found where a GPU would use them', async () => {
  if (!usesSubgroups) return console.log('skipped: needs subgroups of 4 or 8');
  const other = await Engine.create();
  const { sibling } = other.gpu;
  const { run } = Object.getPrototypeOf(other.gpu) as Gpu;
  other.gpu.target = { ...other.gpu.target, kind: 'gpu' };
  other.gpu.sibling = () =>
    Object.assign(sibling.call(other.gpu), {
      run(this: Gpu, kernel: Kernel, bind: Bindings, call: KernelCall) {
        const define = call.define?.fold ? { ...call.define, fold: 'fold', ROW_WG: 1 } : call.define;
        run.call(this, kernel, bind, { ...call, define });
      },
    });
  const warnings = await selfTest(other.gpu, { again: true });
  assert.is(warnings.length, 1);
  assert.match(
    warnings[0],
    /^engine: sums of subgroups must compute .* instead of .* of a row of unit length/,
  );
  assert.is(other.gpu.target.subgroupSize, 1);
  other.destroy();
});

test('self-test: a kernel for matrix units that does not compile is found, and the rest of the device works', async () => {
  const other = await Engine.create();
  const { tier } = other;
  const { subgroupSize } = other.gpu.target;
  other.gpu.target = {
    ...other.gpu.target,
    matrixUnit: { M: 16, N: 16, K: 16 }, // which no device of these tests has
    subgroupSize: subgroupSize === 1 ? 32 : subgroupSize,
  };
  const [warning] = await selfTest(other.gpu, { again: true });
  assert.match(warning, /^engine: subgroup matrices must compute what plain kernels do, got .*must compile/s);
  assert.is(other.gpu.target.matrixUnit, undefined);
  assert.is(other.tier, tier);
  compare('the device', await other.tensor([1, 2], [2]).data(), [1, 2]);
  other.destroy();
});

test.run();
