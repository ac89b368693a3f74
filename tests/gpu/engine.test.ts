import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDevice } from '../../engine/gpu/adapter.ts';
import { kernel } from '../../engine/gpu/kernel.ts';
import { add, Engine, exp, MemoryError, mul } from '../../engine/index.ts';
import { run } from '../../engine/tensor/dispatch.ts';
import { askedTier, compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';

const SCALED = `
struct Params { n : u32, sign : i32, scale : f32, offsets : vec2f }
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;       // [n]
@group(0) @binding(2) var<storage, read_write> y : array<f32>; // [n]
const BONUS : f32 = 0.0;
@compute @workgroup_size(64) fn scaled(@builtin(global_invocation_id) id : vec3u) {
  if (id.x < params.n) { y[id.x] = x[id.x] * params.scale * f32(params.sign) + params.offsets.y + BONUS; }
}`;

function scaledOn(target: Engine, bonus: number): Promise<ArrayLike<number>> {
  const x = target.tensor([1, 2, 3], [3]);
  const y = target.zeros([3]);
  const params = { n: 3, sign: -1, scale: 0.5, offsets: [9, 10] };
  run(kernel(SCALED, 'scaled'), { bind: { x, y }, params, define: { BONUS: bonus }, groups: 1 });
  return y.data();
}

test('kernel: params of every type and constants reach the shader', async () => {
  compare('y', await scaledOn(engine, 100), [109.5, 109, 108.5], TOLERANCE.exact);
});

test('kernel: params travel through the uniform ring where there are no immediates', async () => {
  const { device } = await openDevice();
  const adopted = Engine.fromDevice(device);
  compare('y', await scaledOn(adopted, 100), [109.5, 109, 108.5], TOLERANCE.exact);
  adopted.destroy();
  // The device is its owner's: still usable.
  device.createBuffer({ size: 16, usage: 4 }).destroy();
  const again = Engine.fromDevice(device);
  compare('again', await again.tensor([7], [1]).data(), [7], TOLERANCE.exact);
  device.destroy();
});

test('kernel: params beyond the size of immediates follow smaller ones', async () => {
  using scope = engine.scope();
  const many = SCALED.replace('offsets : vec2f }', 'offsets : vec2f, more : array<vec4f, 4> }');
  const uniform = many.replace('params.offsets.y', 'params.offsets.y + params.more[3].w');
  const x = tensor([1, 2, 3], [3], { scope });
  const y = engine.zeros([3], { scope });
  const params = { n: 3, sign: 1, scale: 2, offsets: [0, 1], more: Array.from({ length: 16 }, (_, i) => i) };
  for (let i = 0; i < 3; i++) {
    add(x, x);
    run(kernel(uniform, 'scaled'), { bind: { x, y }, params, groups: 1 });
  }
  compare('y', await y.data(), [18, 20, 22], TOLERANCE.exact);
});

test('kernel: an unknown constant, a missing param and a fault in the shader each name it', async () => {
  throws(
    () => kernel(SCALED, 'scaled').specialise({ NOPE: 1 }, false),
    /scaled declares no const or alias NOPE/,
  );
  const x = engine.zeros([1]);
  throws(
    () => run(kernel(SCALED, 'scaled'), { bind: { x, y: x }, params: { n: 1 }, groups: 1 }),
    /needs the param sign/,
  );
  x.dispose();
  const other = await Engine.create();
  const y = other.zeros([1]);
  run(kernel(SCALED.replace('f32(params.sign)', 'params.sign'), 'scaled'), {
    bind: { x: other.zeros([1]), y },
    params: { n: 1, sign: 1, scale: 1, offsets: [0, 0] },
    groups: 1,
  });
  const message = await y.data().then(
    () => 'no error',
    (error: Error) => error.message,
  );
  assert.match(message, /scaled: the shader must compile/);
  assert.match(message, /8: .*params\.sign/);
  other.destroy();
});

test('engine: operands of two devices are refused', async () => {
  const other = await Engine.create();
  const a = engine.zeros([2]);
  const b = other.zeros([2]);
  throws(() => add(a, b), /all operands must live on one device/);
  a.dispose();
  other.destroy();
});

test('engine: a lost device rejects reads and resolves engine.lost', async () => {
  const other = await Engine.create();
  const x = other.full([4], 2);
  await x.data();
  const y = add(x, x);
  other.destroy();
  assert.match((await other.lost).message, /the GPU device must be there, got lost/);
  const error = await y.data().then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.is(error?.name, 'DeviceLostError');
});

test('engine: a device that runs out of memory rejects reads with a MemoryError', async () => {
  const doomed = await Engine.create();
  const x = doomed.tensor([1, 2, 3]);
  // No software adapter runs out of memory before the machine does: the event is made by hand.
  const event = new GPUUncapturedErrorEvent('uncapturederror', { error: new GPUOutOfMemoryError('no room') });
  doomed.gpu.device.dispatchEvent(event);
  const error = await x.data().then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.instance(error, MemoryError);
  assert.match(error!.message, /^engine: the device must have memory left, got none \(no room\)\. Dispose /);
  doomed.destroy();
});

test('engine: writes stay in the order of recorded work', async () => {
  using scope = engine.scope();
  const x = tensor([1, 1], [2], { scope });
  const before = add(x, x);
  x.write(Float32Array.of(5, 5));
  const after = add(x, x);
  compare('before', await before.data(), [2, 2], TOLERANCE.exact);
  compare('after', await after.data(), [10, 10], TOLERANCE.exact);
});

test('engine: dtypes are told by the array, and counts are checked', async () => {
  using scope = engine.scope();
  assert.is(engine.tensor(Int32Array.of(1), [1], { scope }).dtype, 'i32');
  assert.is(engine.tensor(Uint8Array.of(1, 2, 3), [3], { scope }).dtype, 'u8');
  assert.equal(Array.from(await engine.tensor(Uint8Array.of(1, 2, 3), [3], { scope }).data()), [1, 2, 3]);
  assert.equal(Array.from(await engine.tensor([1, -2], [2], { scope, dtype: 'i32' }).data()), [1, -2]);
  throws(() => engine.tensor([1, 2, 3], [2, 2], { scope }), /tensor: \[2, 2\] takes 4 numbers, got 3/);
  throws(
    () => engine.tensor([1], [1], { scope, dtype: 'bf16' }),
    /^tensor: bf16 must come as 16-bit patterns in a Uint16Array, got a list\. Use cast\(\)\.$/,
  );
});

test('engine: a wrapped buffer is read and written in place and stays its owner’s', async () => {
  const { device } = engine.gpu;
  const buffer = device.createBuffer({ size: 16, usage: 128 | 4 | 8 });
  {
    using x = engine.wrapBuffer(buffer, [4]);
    x.write(new Float32Array(4).fill(3));
    compare('x', await x.data(), [3, 3, 3, 3], TOLERANCE.exact);
  }
  using again = engine.wrapBuffer(buffer, [2, 2]);
  compare('again', await again.data(), [3, 3, 3, 3], TOLERANCE.exact);
  throws(() => engine.wrapBuffer(buffer, [5]), /wrapBuffer: \[5\] needs 20 bytes, got 16/);
});

test('engine: a tensor beyond the buffer limit is refused with the numbers', () => {
  throws(
    () => engine.empty([2 ** 20, 2 ** 20]),
    /must fit into maxBufferSize = \d+ bytes, got 4398046511104 bytes/,
  );
});

test('engine: ten thousand small ops are submitted in order', async () => {
  using scope = engine.scope();
  let x = tensor(random(4, 1), [4], { scope });
  const one = tensor([1, 1, 1, 1], [4], { scope });
  const start = await x.data();
  for (let i = 0; i < 10_000; i++) {
    const next = add(x, one);
    x.dispose();
    x = next;
  }
  compare(
    'x',
    await x.data(),
    Float64Array.from(start, (value) => value + 10_000),
    { abs: 0, rel: 1e-4 },
  );
});

test('engine: names the first kernel that made a number non-finite', async () => {
  using scope = engine.scope();
  engine.watchNonFinite();
  const x = tensor([1, 2, 3], [3], { scope });
  const fine = add(x, x);
  const hot = exp(mul(fine, 100));
  add(hot, hot);
  const found = await engine.firstNonFinite();
  assert.is(found?.kernel, 'unary');
  engine.watchNonFinite();
  add(x, x);
  assert.is(await engine.firstNonFinite(), undefined);
});

test('engine: names its adapter and tier', () => {
  assert.ok(engine.adapterName.length > 0);
  assert.is(engine.tier === 3, askedTier === 3, 'tier 3 is for those who ask');
});

test('tensor: ready resolves when the value is there, and refuses a disposed tensor', async () => {
  const sum = add(engine.tensor([1, 2], [2]), engine.tensor([3, 4], [2]));
  await sum.ready();
  compare('sum', await sum.data(), [4, 6], TOLERANCE.exact);
  sum.dispose();
  await sum.ready().then(
    () => assert.unreachable('a disposed tensor is refused'),
    (error: Error) => assert.match(error.message, /must not be used after it was disposed/),
  );
});

test.run();
