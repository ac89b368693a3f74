// A custom kernel with its gradient: swish, y = x / (1 + exp(-x)).
import { type Engine, output, record, type Tensor } from 'ps3-webgpu/engine';
import 'ps3-webgpu/engine/wgsl'; // the parser that engine.kernel needs for texts

const SWISH = `
struct Params { n : u32 }
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;           // [n]
@group(0) @binding(2) var<storage, read_write> y : array<f32>;     // [n]
@group(0) @binding(3) var<storage, read> dy : array<f32>;          // [n]
@group(0) @binding(4) var<storage, read_write> dx : array<f32>;    // [n]
@compute @workgroup_size(64) fn swish(@builtin(global_invocation_id) id : vec3u) {
  if (id.x < params.n) { y[id.x] = x[id.x] / (1.0 + exp(-x[id.x])); }
}
@compute @workgroup_size(64) fn swish_dx(@builtin(global_invocation_id) id : vec3u) {
  if (id.x >= params.n) { return; }
  let s = 1.0 / (1.0 + exp(-x[id.x]));
  dx[id.x] = dy[id.x] * (s + x[id.x] * s * (1.0 - s));
}`;

/** Compiles swish once; the op that it returns takes f32 tensors of up to 4 million numbers, of any shape. */
export function makeSwish(engine: Engine): (x: Tensor) => Tensor {
  const forward = engine.kernel(SWISH, 'swish');
  const backwardX = engine.kernel(SWISH, 'swish_dx');
  return (x) => {
    const call = {
      params: { n: x.size },
      groups: [Math.ceil(x.size / forward.workgroupSize), 1, 1],
    } as const;
    const y = output([x], x.shape); // lives where x lives
    forward.run({ bind: { x, y }, ...call });
    return record('swish', {
      inputs: [x],
      output: y,
      saved: { x },
      backward: (dy, { x }) => {
        const dx = output([dy], x.shape);
        backwardX.run({ bind: { x, dy, dx }, ...call });
        return [dx];
      },
    });
  };
}
