// Every fault has its class and code, and its message says what to do. Nothing hangs, and no other engine is harmed.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDevice } from '../../engine/gpu/adapter.ts';
import { kernel } from '../../engine/gpu/kernel.ts';
import {
  AdamW,
  add,
  backward,
  DeviceLostError,
  Engine,
  type EngineError,
  exp,
  linear,
  MemoryError,
  matmul,
  mean,
  ParameterStore,
  ShaderError,
  ShapeError,
  square,
  type Tensor,
  UseError,
} from '../../engine/index.ts';
import { accumulate } from '../../engine/ops/broadcasting.ts';
import { run } from '../../engine/tensor/dispatch.ts';
import { compare, engine, random, TOLERANCE, tensor, withBindingLimit } from '../harness.ts';

/** The error that `fn` throws or rejects with, checked. */
async function fault(
  type: typeof EngineError | typeof UseError,
  code: string,
  message: RegExp,
  fn: () => unknown,
): Promise<void> {
  let error: Error | undefined;
  try {
    await fn();
  } catch (thrown) {
    error = thrown as Error;
  }
  assert.ok(error, `expected ${type.name}, got no error`);
  assert.instance(error, type, `expected ${type.name}, got ${error}`);
  assert.is((error as EngineError).code, code);
  assert.match(error.message, message);
}

const COPY = `
@group(0) @binding(1) var<storage, read> x : array<f32>;       // [4]
@group(0) @binding(2) var<storage, read_write> y : array<f32>; // [4]
@compute @workgroup_size(4) fn copy_four(@builtin(global_invocation_id) id : vec3u) { y[id.x] = x[id.x]; }`;

test('faults: a device that is lost in the middle of a step ends it with DeviceLostError; a new engine goes on', async () => {
  const { device } = await openDevice();
  const doomed = Engine.fromDevice(device);
  const store = new ParameterStore(doomed, [{ name: 'w', shape: [3, 4] }]);
  const optimizer = new AdamW(store);
  const forward = (): Tensor => {
    const x = doomed.tensor(Float32Array.from(random(8, 1)), [2, 4]);
    return mean(square(linear(x, store.get('w'))));
  };
  backward(forward());
  optimizer.step();
  await store.get('w').data(); // a whole step ran
  const loss = forward();
  const pending = loss.data(); // submitted
  device.destroy();
  const late = exp(loss); // a pipeline that is not compiled yet
  backward(forward()); // the rest of the step is recorded without a complaint
  optimizer.step();
  const norm = optimizer.gradNormSquared;
  const again = /the GPU device must be there, got lost .* Make a new engine and load the last checkpoint\./s;
  const reads = [pending.then(() => norm.data()), norm.data(), late.data(), doomed.idle()];
  for (const result of await Promise.allSettled(reads))
    await fault(DeviceLostError, 'device-lost', again, () => {
      if (result.status === 'rejected') throw result.reason;
    });
  assert.is((await doomed.lost).code, 'device-lost');
  const fresh = await Engine.create();
  compare('fresh', await fresh.full([2], 3).data(), [3, 3], TOLERANCE.exact);
  fresh.destroy();
  using alive = tensor([1, 2], [2]);
  compare('others', await alive.data(), [1, 2], TOLERANCE.exact);
});

test('faults: an allocation that fails names the tensor, its bytes and what lives', async () => {
  const { device } = await openDevice();
  const poor = Engine.fromDevice(device);
  const real = device.popErrorScope.bind(device);
  // No test may use up the machine's memory: the first answer of the driver is replaced.
  const refuse = async (): Promise<{ message: string } | null> => {
    Object.assign(device, { popErrorScope: real });
    await real();
    return { message: 'out of memory' };
  };
  Object.assign(device, { popErrorScope: refuse });
  const x = poor.tensor([1, 2, 3, 4], [4]);
  await fault(
    MemoryError,
    'memory',
    /^tensor \[4\]: the system must have room for 16 bytes, got none with 16 live and 0 kept .* smaller batch/,
    () => x.data(),
  );
  device.destroy();
});

test('faults: a tensor beyond the largest buffer, and an operand beyond the largest binding', async () => {
  await fault(
    MemoryError,
    'memory',
    /must fit into maxBufferSize = \d+ bytes, got 4398046511104 .*Split it\./,
    () => engine.empty([2 ** 20, 2 ** 20]),
  );
  using scope = engine.scope();
  const [a, b] = [tensor(random(64, 1), [8, 8], { scope }), tensor(random(64, 2), [8, 8], { scope })];
  await fault(
    MemoryError,
    'memory',
    /^matmul: a must fit into maxStorageBufferBindingSize = 128 bytes, got f32 \[8, 8\] of 256\. .* by slices of it\./,
    () => withBindingLimit(128, () => matmul(a, b)),
  );
  compare(
    'afterwards',
    await add(a, a).data(),
    random(64, 1).map((x) => 2 * x),
  ); // nothing was recorded by halves
});

test('faults: a grid with too many workgroups', async () => {
  using scope = engine.scope();
  const [x, y] = [tensor([1, 2, 3, 4], [4], { scope }), tensor([0, 0, 0, 0], [4], { scope })];
  const call = (groups: number | [number, number, number]) => () =>
    run(kernel(COPY, 'copy_four'), { bind: { x, y }, groups });
  const message = /^copy_four: a grid may have 65535 workgroups per dimension, got \[.*\]\. Split the rows/;
  await fault(ShapeError, 'shape', message, call([1, 65_536, 1]));
  await fault(ShapeError, 'shape', message, call(65_535 ** 2 + 1));
});

test('faults: tensors of another engine, in ops, in place, and as a seed', async () => {
  const other = await Engine.create();
  const [mine, theirs] = [tensor([1, 2], [2], { requiresGrad: true }), other.tensor([3, 4], [2])];
  const message = /all operands must live on one device, got two\. Read one back and upload it\./;
  await fault(UseError, 'use', message, () => add(mine, theirs));
  await fault(UseError, 'use', message, () => accumulate(mine, theirs));
  const seed = /^backward: the seed must live on the loss's device, got one of another\./;
  await fault(UseError, 'use', seed, () => backward(square(mine), { seed: theirs }));
  mine.dispose();
  other.destroy();
});

test('faults: tensors and scopes after they were disposed', async () => {
  const message =
    /must not be used after it was disposed\. Dispose it later, or take it out of its scope by keep\(\)\./;
  const scope = engine.scope();
  const x = tensor([1, 2], [2], { scope });
  scope.dispose();
  await fault(UseError, 'use', message, () => add(x, x));
  await fault(UseError, 'use', message, () => x.data());
  await fault(UseError, 'use', message, () => x.write(Float32Array.of(1, 2)));
  await fault(UseError, 'use', /scope: it must not be used after dispose\(\)/, () =>
    tensor([1], [1], { scope }),
  );
  x.dispose(); // twice is fine
});

test('faults: a foreign device keeps its handler and stays alive', async () => {
  const { device } = await openDevice();
  const seen: string[] = [];
  device.onuncapturederror = ({ error }) => {
    seen.push(error.message);
  };
  const guest = Engine.fromDevice(device);
  compare('guest', await guest.full([2], 3).data(), [3, 3], TOLERANCE.exact);
  guest.destroy();
  const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, Uint32Array.of(1, 2, 3, 4));
  device.queue.submit([]); // wgpu maps without waiting for a write that no submission follows
  await buffer.mapAsync(GPUMapMode.READ);
  assert.equal(Array.from(new Uint32Array(buffer.getMappedRange())), [1, 2, 3, 4]);
  device.createBuffer({ size: 16, usage: 0 }); // the owner's own mistake
  await device.queue.onSubmittedWorkDone();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.is(seen.length, 1);
  device.destroy();
});

test('faults: a shader that does not compile shows the line', async () => {
  const { device } = await openDevice();
  const other = Engine.fromDevice(device);
  const [x, y] = [other.tensor([1, 2, 3, 4], [4]), other.zeros([4])];
  run(kernel(COPY.replace('= x[id.x]', '= x[id.x] * 2u'), 'copy_four'), { bind: { x, y }, groups: 1 });
  await fault(
    ShaderError,
    'shader',
    /^copy_four: the shader must compile, got [\s\S]*\n4: @compute .*x\[id\.x\] \* 2u; \}/,
    () => y.data(),
  );
  device.destroy();
});

test.run();
