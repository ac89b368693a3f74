// The engine in Node: a linear layer learns y = 3a - 2b + 1, and a kernel of one's own squares its weights.
import { AdamW, backward, Engine, linear, mean, ParameterStore, square, sub } from 'ps3-webgpu/engine';
import 'ps3-webgpu/engine/wgsl';

const SQUARE = `
@group(0) @binding(1) var<storage, read_write> x : array<f32>;
@compute @workgroup_size(64) fn square(@builtin(global_invocation_id) id : vec3u) {
  if (id.x < arrayLength(&x)) { x[id.x] *= x[id.x]; }
}`;

const engine = await Engine.create();
const parameters = new ParameterStore(engine, [
  { name: 'weight', shape: [1, 2] },
  { name: 'bias', shape: [1] },
]);
const optimizer = new AdamW(parameters, { lr: 0.05 });
const pairs = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i * i));
const wanted = Float32Array.from({ length: 32 }, (_, i) => 3 * pairs[2 * i] - 2 * pairs[2 * i + 1] + 1);
for (let step = 0; step < 300; step++) {
  const scope = engine.scope();
  const x = engine.tensor(pairs, [32, 2], { scope });
  const y = engine.tensor(wanted, [32, 1], { scope });
  backward(mean(square(sub(linear(x, parameters.get('weight'), { bias: parameters.get('bias') }), y))));
  optimizer.step();
  scope.dispose();
}
const weight = [...(await parameters.get('weight').data())];
const x = engine.tensor(weight);
engine.kernel(SQUARE).run({ bind: { x }, groups: 1 });
console.log(JSON.stringify({ weight, squares: [...(await x.data())] }));
process.exit(0);
