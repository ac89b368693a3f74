import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { add, argMax, backward, cast, concat, record, sum, type Tensor, topK } from '../../engine/index.ts';
import { engine, throws } from '../harness.ts';

test('data: the compiler knows the array of every dtype, and it is the one that comes', async () => {
  using scope = engine.scope();
  const f32: Float32Array = await engine.tensor([1.5, 2], [2], { scope }).data();
  const i32: Int32Array = await engine.tensor(Int32Array.of(-1, 2), [2], { scope }).data();
  const u32: Uint32Array = await engine.tensor(Uint32Array.of(4294967295), [1], { scope }).data();
  const u8: Uint8Array = await engine.tensor(Uint8Array.of(1, 2, 3, 255), [4], { scope }).data();
  const asked: Uint32Array = await engine.tensor([3, 4], [2], { scope, dtype: 'u32' }).data();
  const zeros: Int32Array = await engine.zeros([2], { scope, dtype: 'i32' }).data();
  const half: Uint16Array = await cast(engine.tensor([1], [1], { scope }), 'f16').data();
  assert.equal(
    [f32, i32, u32, u8, asked, zeros, half].map((array) => [array.constructor.name, ...array]),
    [
      ['Float32Array', 1.5, 2],
      ['Int32Array', -1, 2],
      ['Uint32Array', 4294967295],
      ['Uint8Array', 1, 2, 3, 255],
      ['Uint32Array', 3, 4],
      ['Int32Array', 0, 0],
      ['Uint16Array', 0x3c00],
    ],
  );
});

test('data: ops pass the dtype on, or say their own', async () => {
  using scope = engine.scope();
  const x = engine.tensor(Int32Array.of(1, 5, 3), [1, 3], { scope });
  const sums: Int32Array = await sum(add(x, concat([x], { axis: 0 }))).data();
  const winner: Uint32Array = await argMax(x, { axis: 1 }).data();
  const best: Uint32Array = await topK(cast(x, 'f32'), 1).indices.data();
  assert.equal([...sums, ...winner, ...best], [18, 1, 1]);
});

test('record: a gradient of another dtype than f32 is refused', () => {
  using scope = engine.scope();
  const x = engine.tensor([1], [1], { scope, requiresGrad: true });
  const wrong = (value: Tensor): Tensor =>
    record('wrong', {
      inputs: [value],
      output: add(value.detach(), value.detach()),
      saved: {},
      backward: (dy) => [cast(dy, 'i32')],
    });
  throws(() => backward(wrong(x)), /^wrong: backward must return gradients in f32, got i32\.$/);
});

test.run();
