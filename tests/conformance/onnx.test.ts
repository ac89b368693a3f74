// ONNX's operator definitions: its own backend tests, and cases of other attributes that NumPy and PyTorch computed.
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeSafetensors } from '../../engine/index.ts';
import { engine } from '../harness.ts';
import { OTHER_DTYPE, OTHER_OPERATOR, type Outcome, replay } from './replay.ts';

async function outcomes(source: string | Uint8Array): Promise<Outcome[]> {
  const all: Outcome[] = [];
  for await (const outcome of replay(engine, source)) all.push(outcome);
  return all;
}

const path = (name: string): string =>
  fileURLToPath(new URL(`../fixtures/${name}.safetensors`, import.meta.url));

/** How many cases each file must have replayed: a replay that skips some proves nothing. */
for (const [name, count] of Object.entries({ 'onnx-node': 267, 'onnx-variants': 257 }))
  test(`conformance: every case of ${name} agrees, and none leaves a tensor behind`, async () => {
    const before = engine.stats();
    const all = await outcomes(path(name));
    const failed = all.filter(({ status }) => status === 'failed');
    const lines = failed.map(
      ({ name, op, attributes, reason }) => `${name}: ${op} ${JSON.stringify(attributes)} ${reason}`,
    );
    assert.is(failed.length, 0, `\n${lines.join('\n')}`);
    const passed = all.filter(({ status }) => status === 'passed').length;
    assert.ok(passed >= count, `${passed} cases passed, want at least ${count}`);
    const after = engine.stats();
    assert.is(after.liveTensors, before.liveTensors, 'no tensor is left over');
    assert.is(after.liveBytes, before.liveBytes, 'no bytes are left over');
  });

/** A file of one case with one operand x and one result y of 2 elements. */
function file(
  op: string,
  x: Float32Array | Float64Array<ArrayBuffer>,
  y: Float32Array,
  shape = [2],
): Promise<Uint8Array> {
  const one = { op, opset: 13, attributes: {}, inputs: ['x'], graph_inputs: ['x'], outputs: ['y'] };
  return encodeSafetensors(
    [
      { name: 'case/in.0', dtype: x instanceof Float64Array ? 'F64' : 'F32', shape: [2], data: x },
      { name: 'case/out.0', dtype: 'F32', shape, data: y },
    ],
    { case: JSON.stringify(one) },
  );
}

test('conformance: a wrong number, a wrong shape and an unforeseen error are failures that say where', async () => {
  const x = Float32Array.of(1, -2);
  const [wrong] = await outcomes(await file('Abs', x, Float32Array.of(1, 2.1)));
  assert.equal([wrong.status, wrong.reason], ['failed', 'y[1]: got 2, want 2.0999999046325684']);
  const [missing] = await outcomes(await file('Abs', x, Float32Array.of(1, Number.NaN)));
  assert.equal([missing.status, missing.reason], ['failed', 'y[1]: got 2, want NaN']);
  const [flat] = await outcomes(await file('Abs', x, Float32Array.of(1, 2), [2, 1]));
  assert.equal([flat.status, flat.reason], ['failed', 'y: got shape [2], want [2,1]']);
  const [absent] = await outcomes(await file('Add', x, Float32Array.of(1, 2)));
  assert.equal([absent.status, absent.reason], ['failed', 'Error: operand 1 is absent']);
  const [right] = await outcomes(await file('Abs', x, Float32Array.of(1, 2)));
  assert.is(right.status, 'passed');
});

test('conformance: other operators and dtypes are skipped, each for its one reason', async () => {
  const y = Float32Array.of(1, 2);
  const [other] = await outcomes(await file('Bernoulli', y, y));
  assert.equal([other.status, other.reason, other.detail], ['skipped', OTHER_OPERATOR, 'Bernoulli']);
  const [wide] = await outcomes(await file('Abs', Float64Array.of(1, 2), y));
  assert.equal([wide.status, wide.reason, wide.detail], ['skipped', OTHER_DTYPE, 'F64']);
});

test.run();
