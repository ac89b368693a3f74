// The engine and a custom compute pass on the same device and the same buffers, without a copy.
import { add, Engine, mul, sum, tidy } from 'ps3-webgpu/engine';

const SQUARE_IN_PLACE = `
@group(0) @binding(0) var<storage, read_write> numbers : array<f32>;
@compute @workgroup_size(64) fn square(@builtin(global_invocation_id) id : vec3u) {
  if (id.x < arrayLength(&numbers)) { numbers[id.x] *= numbers[id.x]; }
}`;

/** 2 x + 1 by the engine, squared by a custom pass, summed with weights from a custom buffer. */
export async function ownPass(device: GPUDevice): Promise<number> {
  const engine = Engine.fromDevice(device);
  using scope = engine.scope();
  const x = engine.tensor([1, 2, 3, 4], [4], { scope });
  const y = add(mul(x, 2), 1); // [3, 5, 7, 9]

  // From the engine: the buffer of a tensor. What was called before is submitted by then.
  const { buffer, offset, sizeBytes } = await y.buffer();
  const module = device.createShaderModule({ code: SQUARE_IN_PLACE });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const entries = [{ binding: 0, resource: { buffer, offset, size: sizeBytes } }];
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  device.queue.submit([encoder.finish()]); // y is [9, 25, 49, 81] for everything called from here on

  // To the engine: a custom buffer as a tensor.
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const mine = device.createBuffer({ size: 16, usage });
  device.queue.writeBuffer(mine, 0, Float32Array.of(1, 10, 100, 1000));
  const weights = engine.wrapBuffer(mine, [4], { dtype: 'f32', scope });

  const [total] = await tidy([y, weights], (y, weights) => sum(mul(y, weights))).data();
  mine.destroy();
  return total; // 9 + 250 + 4900 + 81000
}
