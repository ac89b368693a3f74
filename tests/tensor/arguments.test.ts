// Arguments that TypeScript would refuse, as they come from JavaScript: refused by name, or taken by the rule.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { engine, throws } from '../harness.ts';

/** engine.tensor as JavaScript calls it. */
const tensor = (...args: unknown[]) => Reflect.apply(engine.tensor, engine, args);
const empty = (...args: unknown[]) => Reflect.apply(engine.empty, engine, args);
const zeros = (...args: unknown[]) => Reflect.apply(engine.zeros, engine, args);

test('tensor: data that are no numbers are refused, nested ones with what to do', () => {
  const live = engine.stats().liveTensors;
  for (const data of [undefined, null, 3, '12', {}, new DataView(new ArrayBuffer(4)), new BigInt64Array(2)])
    throws(() => tensor(data), /^tensor: data must be a typed array or a list of numbers, got /);
  const row = [1, 2];
  const nested = [row, row];
  for (const data of [nested, [Float32Array.of(1, 2)], [1, [2]]])
    throws(() => tensor(data), /^tensor: every item of data must be a number, got an? .+ at [01]\. .+\.$/);
  throws(() => tensor(nested), /a list at 0\. Flatten it, and pass its shape\.$/);
  for (const data of [['1'], [undefined], [null], [1n], [true], new Array(2)])
    throws(() => tensor(data), /^tensor: every item of data must be a number, got /);
  assert.is(engine.stats().liveTensors, live);
});

test('tensor: the array tells the dtype, or it must be named', async () => {
  using scope = engine.scope();
  const rule = { f32: [[1.5], Float32Array.of(1.5), Float64Array.of(1.5)], i32: [Int32Array.of(-7)] };
  for (const [dtype, arrays] of Object.entries({ ...rule, u32: [Uint32Array.of(2 ** 32 - 1)] }))
    for (const data of arrays) {
      const x = engine.tensor(data, [1], { scope });
      assert.equal([x.dtype, ...(await x.data())], [dtype, data[0]]);
    }
  for (const data of [Uint8Array.of(255), Uint8ClampedArray.of(255)])
    assert.equal([...(await engine.tensor(data, [1], { scope }).data())], [255]);
  const untold = [Int8Array.of(-1), Int16Array.of(-2), Uint16Array.of(3)];
  for (const data of untold) {
    throws(
      () => tensor(data),
      /^tensor: the dtype of an? (Int8|Int16|Uint16)Array must be named, got none\. /,
    );
    assert.equal([...(await engine.tensor(data, [1], { scope, dtype: 'f32' }).data())], [data[0]]);
    assert.equal([...(await engine.tensor(data, [1], { scope, dtype: 'i32' }).data())], [data[0]]);
  }
});

test('tensor: an integer dtype takes only numbers that it has', async () => {
  using scope = engine.scope();
  const wrong = [
    ['i32', [1, 0.5]],
    ['i32', [0, 2 ** 31]],
    ['i32', [0, Number.NaN]],
    ['u32', [0, -1]],
    ['u32', Float32Array.of(0, Infinity)],
    ['u8', [0, 256]],
    ['u8', Int8Array.of(0, -1)],
  ] as const;
  for (const [dtype, data] of wrong)
    throws(
      () => tensor(data, [2], { dtype }),
      new RegExp(`^tensor: data must be whole numbers that ${dtype} has, got ${data[1]} at 1\\.$`),
    );
  const edges = engine.tensor([-(2 ** 31), 2 ** 31 - 1, -0], [3], { scope, dtype: 'i32' });
  assert.equal([...(await edges.data())], [-(2 ** 31), 2 ** 31 - 1, 0]);
  for (const dtype of ['f16', 'bf16'])
    throws(() => tensor([1], [1], { dtype }), /must come as 16-bit patterns in a Uint16Array, got a list\./);
});

test('tensor, empty, zeros, wrapBuffer: shapes and dtypes that do not exist are refused', () => {
  for (const shape of [[1.5], [Number.NaN], [-1], [Infinity], ['2'], [undefined], [[2]], [2 ** 53]])
    for (const make of [empty, zeros])
      throws(() => make(shape), /^tensor: every extent must be a whole number from 0, got \[.*\]\.$/);
  for (const shape of [2, '2', {}, null])
    throws(
      () => empty(shape),
      /^tensor: the shape must be a list of whole numbers from 0, got .+\. Use \[n\]\.$/,
    );
  const names = /^tensor: the dtype must be f32, i32, u32, u8, f16, bf16, got (float32|F32|constructor)\./;
  for (const dtype of ['float32', 'F32', 'constructor']) {
    throws(() => tensor([1], [1], { dtype }), names);
    throws(() => empty([1], { dtype }), names);
  }
});

test('write: an array of another type is refused, not read as bits', () => {
  using x = engine.zeros([2], { dtype: 'i32' });
  const write = (data: unknown) => Reflect.apply(x.write, x, [data]);
  throws(
    () => write(Float32Array.of(1, 2)),
    /^tensor \[2\]: write needs Int32Array or a tensor of i32, got a Float32Array\.$/,
  );
  throws(() => write(new BigInt64Array(1)), /got a BigInt64Array\.$/);
  using y = engine.zeros([2]);
  throws(() => write(y), /got f32\.$/);
  for (const data of [undefined, 3, [1, 2]]) throws(() => write(data), /got (undefined|a number|a list)\.$/);
});

test.run();
