// A model with the weights of a reference file, its inputs and what the official implementation made of them.
import { openSafetensors, type Scope, type Tensor } from '../../engine/index.ts';
import { configFromTensors } from '../../ps3/model/config/tensor_config.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { compare, engine, type Tolerance } from '../harness.ts';

/** As `ps3 verify` allows it: f32 sums in another order, through every block. */
export const MODEL: Tolerance = { abs: 0, rel: 1e-4 };

/** A reference file with its model on the GPU. */
export interface Golden {
  /** The caller disposes it. */
  readonly model: PS3;
  has(name: string): boolean;
  want(name: string): Promise<Float32Array>;
  /** Uploads one of the file's tensors. */
  input(name: string, scope: Scope, dtype?: 'f32' | 'i32'): Promise<Tensor>;
  /** Throws unless shape and values are the file's. */
  check(name: string, tensor: Tensor, tolerance?: Tolerance): Promise<void>;
}

/** Opens tests/fixtures/ps3-infer-NAME.safetensors. */
export async function openGolden(name: 'square' | 'portrait' | 'radio'): Promise<Golden> {
  const url = new URL(`../fixtures/ps3-infer-${name}.safetensors`, import.meta.url);
  const file = await openSafetensors(url.protocol === 'file:' ? url : await (await fetch(url)).blob());
  const shapes = new Map<string, number[]>();
  for (const [name, { shape }] of file.tensors)
    if (name.startsWith('weights.')) shapes.set(name.slice('weights.'.length), [...shape]);
  const model = PS3.allocate(engine, configFromTensors(file.metadata, shapes));
  for (const name of shapes.keys()) model.parameters.get(name).write(await file.f32(`weights.${name}`));
  return {
    model,
    has: (name) => file.tensors.has(name),
    want: (name) => file.f32(name),
    async input(name, scope, dtype = 'f32') {
      const numbers = await file.f32(name);
      const { shape } = file.tensors.get(name)!;
      return engine.tensor(dtype === 'i32' ? Int32Array.from(numbers) : numbers, shape, { scope });
    },
    async check(name, tensor, tolerance = MODEL) {
      const { shape } = file.tensors.get(name)!;
      if (shape.join() !== tensor.shape.join())
        throw new Error(`${name}: got ${tensor.shape}, want ${shape}`);
      compare(name, await tensor.data(), await file.f32(name), tolerance);
    },
  };
}
