// The engine beside somebody else's WebGPU code: devices, buffers and kernels that are not its own.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeSwish } from '../../engine/examples/own_kernel.ts';
import { ownPass } from '../../engine/examples/own_pass.ts';
import { openDevice } from '../../engine/gpu/adapter.ts';
import { setParser, shaderOf } from '../../engine/gpu/shader.ts';
import { add, backward, Engine, type EngineError, mul, record } from '../../engine/index.ts';
import { reflect } from '../../engine/wgsl.ts';
import { checkGradients, compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';

const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

test('own pass: works on a tensor in place and hands the engine its buffer', async () => {
  const { device } = await openDevice();
  assert.is(await ownPass(device), 9 + 250 + 4900 + 81000);
  device.destroy();
});

test('tensor.buffer: is the wrapped buffer itself, and rejects after dispose', async () => {
  const mine = engine.gpu.device.createBuffer({ size: 64, usage });
  const x = engine.wrapBuffer(mine, [3]);
  const { buffer, offset, sizeBytes } = await x.buffer();
  assert.is(buffer, mine);
  assert.equal([offset, sizeBytes], [0, 12]);
  x.dispose();
  const message = await x.buffer().then(
    () => 'resolved',
    (error: EngineError) => error.message,
  );
  assert.match(message, /must not be used after it was disposed/);
  mine.destroy();
});

test('wrapBuffer: leaves the buffer to its owner, whose later writes it sees', async () => {
  const { device } = engine.gpu;
  const mine = device.createBuffer({ size: 16, usage });
  const before = engine.stats();
  for (const value of [1, 2]) {
    device.queue.writeBuffer(mine, 0, new Float32Array(4).fill(value));
    using x = engine.wrapBuffer(mine, [4]);
    using y = add(x, x);
    compare('y', await y.data(), new Array(4).fill(2 * value), TOLERANCE.exact);
  }
  assert.is(engine.stats().liveTensors, before.liveTensors);
  assert.is(mine.mapState, 'unmapped');
  mine.destroy();
});

test('wrapBuffer: a buffer without the usages that tensors need is refused', () => {
  const mine = engine.gpu.device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
  throws(
    () => engine.wrapBuffer(mine, [4]),
    /usage must include STORAGE, COPY_SRC and COPY_DST \(140\), got 128/,
  );
  mine.destroy();
});

test('own kernel: swish and its gradient agree with float64', async () => {
  const swish = makeSwish(engine);
  for (const n of [1, 63, 64, 65, 1009])
    await checkGradients({
      inputs: { x: { data: random(n, n).map((value) => 4 * value), shape: [n] } },
      op: ({ x }) => swish(x),
      twin: ({ x }) => x.map((value) => value / (1 + Math.exp(-value))),
    });
});

const EVERY = `
struct Params { n : u32, shift : i32, scale : f32, corner : vec2f, first : u32 }
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<vec2f>;              // [n, 2]
@group(0) @binding(2) var<storage, read> order : array<u32>;            // [n]
@group(0) @binding(5) var<storage, read_write> y : array<vec2f>;        // [n, 2]
@group(0) @binding(6) var<storage, read_write> seen : array<atomic<u32>>; // [1]
@compute @workgroup_size(4, 2) fn every(@builtin(global_invocation_id) id : vec3u) {
  let i = id.x + 4u * id.y;
  if (i >= params.n) { return; }
  y[i] = x[order[i]] * params.scale + params.corner + f32(params.shift);
  atomicAdd(&seen[0], 1u);
}
@compute @workgroup_size(1) fn idle() { atomicAdd(&seen[0], 1u); }
@compute @workgroup_size(1) fn counted() { atomicAdd(&seen[0], params.first); }`;

test('engine.kernel: params and bindings of every kind reach the WGSL by name', async () => {
  using scope = engine.scope();
  const every = engine.kernel(EVERY, 'every');
  assert.is(every.workgroupSize, 8);
  const x = tensor([1, 2, 3, 4, 5, 6], [3, 2], { scope });
  const order = engine.tensor(Uint32Array.of(2, 0, 1), [3], { scope });
  const y = engine.zeros([3, 2], { scope });
  const seen = engine.tensor(Uint32Array.of(0), [1], { scope });
  every.run({
    bind: { seen, y, order, x },
    params: { corner: [100, 200], scale: 2, shift: -1, n: 3 },
    groups: 1,
  });
  engine.kernel(EVERY, 'idle').run({ bind: { seen }, groups: [2, 1, 2] });
  compare('y', await y.data(), [109, 211, 101, 203, 105, 207], TOLERANCE.exact);
  engine.kernel(EVERY, 'counted').run({ bind: { seen }, params: { first: 5 }, groups: 1 });
  engine.kernel(EVERY, 'counted').run({ bind: { seen }, params: { n: 3, first: 6 }, groups: 1 });
  compare('seen', await seen.data(), [3 + 4 + 5 + 6], TOLERANCE.exact);
});

const SCALED = `
alias Scalar = f32;
const COUNT : u32 = 2u;
const SCALE = 1.0;
const lower = 3u;
struct Params { n : u32, factor : f32 }
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read_write> y : array<f32>;  // [n]
@compute @workgroup_size(1) fn scaled(@builtin(workgroup_id) group : vec3u) {
  for (var i = group.x * COUNT; i < min(params.n, (group.x + 1u) * COUNT); i++) {
    y[i] = f32(Scalar(params.factor)) * SCALE;
  }
}`;

test('engine.kernel: define gives constants and types of the WGSL other values', async () => {
  const scaled = engine.kernel(SCALED);
  for (const [define, want] of [
    [undefined, [2.5, 2.5, 0, 0, 0]],
    [{ COUNT: 3 }, [2.5, 2.5, 2.5, 0, 0]],
    [{ SCALE: '4.0', COUNT: 5 }, [10, 10, 10, 10, 10]],
    [{ Scalar: 'u32' }, [2, 2, 0, 0, 0]],
  ] as const) {
    using y = engine.zeros([5]);
    scaled.run({ bind: { y }, params: { n: 5, factor: 2.5 }, groups: 1, define });
    compare(`y, ${JSON.stringify(define)}`, await y.data(), want, TOLERANCE.exact);
  }
});

test('engine.kernel: define refuses what the WGSL does not declare', () => {
  using y = engine.zeros([5]);
  const call = { bind: { y }, params: { n: 5, factor: 1 }, groups: 1 };
  for (const name of ['TILE', 'COUN', 'lower', 'Params', 'S.*'])
    throws(
      () => engine.kernel(SCALED).run({ ...call, define: { [name]: 1 } }),
      /scaled: define must name constants or types that the WGSL declares, got /,
    );
});

test('engine.submit: sends recorded work without waiting for it', async () => {
  using x = engine.tensor([1, 2]);
  add(x, x).dispose();
  await engine.idle(); // the kernel is compiled
  const { submits, dispatches } = engine.stats();
  using y = add(x, x);
  assert.is(engine.stats().submits, submits);
  engine.submit();
  assert.is(engine.stats().submits, submits + 1);
  assert.is(engine.stats().dispatches, dispatches + 1);
  engine.submit();
  assert.is(engine.stats().submits, submits + 1, 'nothing is left to submit');
  compare('y', await y.data(), [2, 4], TOLERANCE.exact);
});

test('engine.target: is what a target given at the start became', async () => {
  const other = await Engine.create({ target: { cores: 7 } });
  assert.is(other.target.cores, 7);
  assert.is(other.target.kind, other.isSoftware ? 'cpu' : 'gpu');
  other.destroy();
});

test('engine.failure: what later reads throw', async () => {
  const other = await Engine.create();
  assert.is(other.failure, undefined);
  using y = other.zeros([1]);
  other.kernel(SCALED).run({
    bind: { y },
    params: { n: 1, factor: 1 },
    groups: 1,
    define: { Scalar: 'no_such_type' },
  });
  const thrown = await y.data().then(
    () => undefined,
    (error: EngineError) => error,
  );
  assert.is(thrown?.name, 'ShaderError');
  assert.is(other.failure, thrown);
  other.destroy();
});

test('engine.kernel: each mistake has a sentence', async () => {
  using scope = engine.scope();
  const every = engine.kernel(EVERY, 'every');
  const bind = {
    x: engine.zeros([3, 2], { scope }),
    order: engine.zeros([3], { scope, dtype: 'u32' }),
    y: engine.zeros([3, 2], { scope }),
    seen: engine.zeros([1], { scope, dtype: 'u32' }),
  };
  const params = { n: 3, shift: 0, scale: 1, corner: [0, 0] };
  const run =
    (change: object): (() => void) =>
    () =>
      every.run({ bind, params, groups: 1, ...change });
  const { seen: _seen, ...three } = bind;
  throws(run({ bind: three }), /every: the bindings must be x, order, y, seen, got x, order, y\./);
  throws(run({ bind: { ...bind, z: bind.x } }), /got x, order, y, seen, z/);
  throws(run({ params: { n: 3 } }), /the params must be n, shift, scale, corner, first, got n\./);
  throws(run({ params: { ...params, corner: [1, 2, 3] } }), /the param corner takes 2 numbers, got 3/);
  throws(
    run({ bind: { ...bind, order: bind.x } }),
    /order must hold u32 as the WGSL says, got a tensor of f32/,
  );
  throws(run({ bind: { ...bind, y: bind.x } }), /y is written and must share no memory, got x on the same/);
  throws(() => engine.kernel(EVERY), /the entry point must be one of every, idle, counted, got none/);
  throws(() => engine.kernel('fn f() {'), /the WGSL must parse/);
  throws(() => engine.kernel('fn f() {}'), /must have a @compute entry point/);
  throws(
    () =>
      engine.kernel(
        EVERY.replace('@binding(0) var<uniform> params', '@binding(0) var<uniform> options').replaceAll(
          'params.',
          'options.',
        ),
        'every',
      ),
    /got options at @group\(0\) @binding\(0\)/,
  );
  throws(
    () => engine.kernel(EVERY.replace('n : u32,', 'n : u32, more : array<vec4f, 20>,'), 'every'),
    /struct Params must fit into 256 bytes/,
  );
  const other = await Engine.create();
  throws(run({ bind: { ...bind, x: other.zeros([3, 2]) } }), /x must live on the kernel's device/);
  other.destroy();
});

test('engine.kernel: takes a parsed shader as JSON, and without a parser refuses texts', async () => {
  const shader = JSON.parse(JSON.stringify(reflect(EVERY)));
  const other = await Engine.create();
  const seen = other.tensor(Uint32Array.of(5), [1]);
  setParser(undefined);
  try {
    other.kernel(shader, 'idle').run({ bind: { seen }, groups: 7 });
    throws(() => shaderOf('@compute @workgroup_size(1) fn f() {}'), /Add: import 'ps3-webgpu\/engine\/wgsl'/);
  } finally {
    setParser(reflect);
  }
  compare('seen', await seen.data(), [12], TOLERANCE.exact);
  other.destroy();
});

test('record: a backward that returns too few or too large gradients is named', () => {
  using scope = engine.scope();
  const x = tensor([1, 2], [2], { scope, requiresGrad: true });
  const wrong = (gradients: (dy: typeof x) => (typeof x)[]): void => {
    const y = mul(x.detach(), x.detach());
    backward(record('mine', { inputs: [x], output: y, saved: {}, backward: gradients }), {
      seed: y.detach(),
    });
  };
  throws(
    () => wrong(() => []),
    /mine: backward must return the gradient of each input in its shape, got \[\] elements for inputs of \[2\]/,
  );
  throws(() => wrong(() => [engine.zeros([3], { scope })]), /got \[3\] elements for inputs of \[2\]/);
});

test.run();
