// ONNX Runtime Web with its native WebGPU provider: https://github.com/microsoft/onnxruntime. Inference only.
import { encodeModel, type OnnxModel, type OnnxValue } from './onnx.ts';
import { type Operand, type Peer, type PeerOp, type PeerRun, separated } from './peer.ts';

interface OrtTensor {
  getData(): Promise<Float32Array | BigInt64Array>;
  dispose(): void;
}

interface OrtSession {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

/** The part of the library that is used here. */
interface Ort {
  readonly env: {
    logLevel: string;
    readonly wasm: { numThreads: number };
    readonly webgpu: { device: Promise<GPUDevice> };
  };
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> };
  readonly Tensor: {
    fromGpuBuffer(buffer: GPUBuffer, options: { dataType: string; dims: readonly number[] }): OrtTensor;
  };
}

/** @param url  of ort.webgpu.bundle.min.mjs */
export async function openOrt(url: string): Promise<Peer> {
  const ort: Ort = await import(url);
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  return {
    library: 'onnxruntime-web',
    prepare: (op, operands, copies) => {
      const given = op.name === 'attention' ? withBatch(separated(operands, op.heads)) : operands;
      const model = modelOf(
        op,
        given.map(({ shape }) => shape),
      );
      return model && prepare(ort, model, given, copies);
    },
  };
}

/** [T, H, K] to [1, T, H K]. */
function withBatch(operands: readonly Operand[]): Operand[] {
  return operands.map(({ data, shape: [T, H, K] }) => ({ data, shape: [1, T, H * K] }));
}

/** The op as a node whose operands are a, b, c; of several results, the last is the one to check. */
function modelOf(op: PeerOp, shapes: readonly (readonly number[])[]): OnnxModel | undefined {
  const names = ['a', 'b', 'c'].slice(0, shapes.length);
  const floats = (name: string, shape: readonly number[]): OnnxValue => ({ name, type: 'float32', shape });
  const operands = names.map((name, i) => floats(name, shapes[i]));
  const node = (
    name: string,
    shape: readonly number[],
    attributes: OnnxModel['attributes'] = {},
  ): OnnxModel => ({ op: name, attributes, inputs: names, operands, results: [floats('y', shape)] });
  const [a, b] = shapes;
  switch (op.name) {
    case 'matmul':
      return node('MatMul', [...a.slice(0, -1), b[b.length - 1]]);
    case 'softmax':
      return node('Softmax', a, { axis: a.length - 1 });
    case 'layerNorm':
      return node('LayerNormalization', a, { axis: a.length - 1, epsilon: { float: op.eps } });
    case 'gelu':
      return node('Gelu', a, { approximate: 'none' });
    case 'attention':
      return { ...node('MultiHeadAttention', a, { num_heads: op.heads }), domain: 'com.microsoft' };
    case 'topK':
      return {
        ...node('TopK', a, { axis: 1, largest: 1, sorted: 1 }),
        inputs: ['a', 'k'],
        constants: { k: [op.k] },
        results: [floats('values', [1, op.k]), { name: 'indices', type: 'int64', shape: [1, op.k] }],
      };
    case 'gather':
      return {
        ...node('Gather', [b[0], a[1]], { axis: 0 }),
        operands: [operands[0], { ...operands[1], type: 'int32' }],
      };
    case 'add':
      return node('Add', a);
    case 'sum':
      return {
        ...node(
          'ReduceSum',
          a.filter((_, axis) => axis !== op.axis),
          { keepdims: 0 },
        ),
        inputs: ['a', 'axes'],
        constants: { axes: [op.axis] },
      };
    case 'permute':
      return node(
        'Transpose',
        op.order.map((axis) => a[axis]),
        { perm: op.order },
      );
    case 'bicubic':
      return {
        ...node('Resize', [...a.slice(0, 2), ...op.size], {
          mode: 'cubic',
          coordinate_transformation_mode: 'half_pixel',
          cubic_coeff_a: { float: -0.75 },
        }),
        inputs: ['a', '', '', 'sizes'],
        constants: { sizes: [...a.slice(0, 2), ...op.size] },
      };
  }
}

async function prepare(
  ort: Ort,
  model: OnnxModel,
  operands: readonly Operand[],
  copies: number,
): Promise<PeerRun> {
  const session = await ort.InferenceSession.create(encodeModel(model), {
    executionProviders: ['webgpu'],
    preferredOutputLocation: 'gpu-buffer',
    logSeverityLevel: 3,
  });
  // A new one each time: it goes with the last session.
  const device = await ort.env.webgpu.device;
  const buffers: GPUBuffer[] = [];
  const upload = ({ data, shape }: Operand, i: number): [string, OrtTensor] => {
    const { name, type } = model.operands[i];
    const buffer = device.createBuffer({
      size: Math.ceil(data.byteLength / 16) * 16,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(buffer, 0, data);
    buffers.push(buffer);
    return [name, ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims: shape })];
  };
  const sets = Array.from({ length: copies }, () => Object.fromEntries(operands.map(upload)));
  let turn = 0;
  await device.queue.onSubmittedWorkDone();
  let latest: Record<string, OrtTensor> = {};
  const drop = (): void => {
    for (const tensor of Object.values(latest)) tensor.dispose();
    latest = {};
  };
  return {
    run: async (count) => {
      for (let i = 0; i < count; i++) {
        drop();
        latest = await session.run(sets[turn++ % copies]);
      }
      await device.queue.onSubmittedWorkDone();
    },
    read: async () => {
      const numbers = await latest[model.results[model.results.length - 1].name].getData();
      return numbers instanceof Float32Array ? Float32Array.from(numbers) : Int32Array.from(numbers, Number);
    },
    dispose: async () => {
      drop();
      await session.release();
      for (const buffer of buffers) buffer.destroy();
    },
  };
}
