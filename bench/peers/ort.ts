// ONNX Runtime Web with its native WebGPU provider: https://github.com/microsoft/onnxruntime. Inference only.
import { encodeModel, type OnnxAttributes, type OnnxModel, type OnnxNode, type OnnxValue } from './onnx.ts';
import { decoderModel, type OnnxFile } from './ort_decoder.ts';
import { labelled, type Operand, type Peer, type PeerOp, type PeerRun, separated } from './peer.ts';

interface OrtTensor {
  getData(): Promise<Float32Array | BigInt64Array>;
  dispose(): void;
}

interface OrtSession {
  /** @param fetches  where results are written; null for a new place */
  run(
    feeds: Record<string, OrtTensor>,
    fetches: Record<string, OrtTensor | null>,
  ): Promise<Record<string, OrtTensor>>;
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
      if (op.name === 'decoder') {
        const { model, operands, files } = decoderModel(op.task);
        return prepare(ort, model, operands, copies, files);
      }
      const given = givenTo(op, operands);
      const model = modelOf(
        op,
        given.map(({ shape }) => shape),
      );
      return model && prepare(ort, model, given, copies);
    },
  };
}

/** Operands as the model of an op takes them. */
function givenTo(op: PeerOp, operands: readonly Operand[]): readonly Operand[] {
  if (op.name === 'attention') return withBatch(separated(operands, op.heads));
  if (op.name === 'causalAttention')
    return operands.map(({ data, shape: [B, T, H, K] }) => ({ data, shape: [B, T, H * K] }));
  return op.name === 'linearCrossEntropy' ? labelled(operands) : operands;
}

/** [T, H, K] to [1, T, H K]. */
function withBatch(operands: readonly Operand[]): Operand[] {
  return operands.map(({ data, shape: [T, H, K] }) => ({ data, shape: [1, T, H * K] }));
}

/** The op on operands a, b, c, d; of several results, the last is the one to check. */
function modelOf(op: PeerOp, shapes: readonly (readonly number[])[]): OnnxModel | undefined {
  const names = ['a', 'b', 'c', 'd'].slice(0, shapes.length);
  const floats = (name: string, shape: readonly number[]): OnnxValue => ({ name, type: 'float32', shape });
  const operands = names.map((name, i) => floats(name, shapes[i]));
  const single = (
    op: string,
    shape: readonly number[],
    attributes: OnnxAttributes = {},
    node: Partial<OnnxNode> = {},
  ): OnnxModel => ({
    nodes: [{ op, attributes, inputs: names, outputs: ['y'], ...node }],
    operands,
    results: [floats('y', shape)],
  });
  const [a, b] = shapes;
  switch (op.name) {
    case 'matmul':
      return single('MatMul', [...a.slice(0, -1), b[b.length - 1]]);
    case 'softmax':
      return single('Softmax', a, { axis: a.length - 1 });
    case 'layerNorm':
      return single('LayerNormalization', a, { axis: a.length - 1, epsilon: { float: op.eps } });
    case 'gelu':
      return single('Gelu', a, { approximate: 'none' });
    case 'attention':
      return single('MultiHeadAttention', a, { num_heads: op.heads }, { domain: 'com.microsoft' });
    case 'causalAttention':
      return causalAttention(operands, op);
    case 'linearCrossEntropy':
      return linearCrossEntropy(operands);
    case 'topK':
      return {
        ...single(
          'TopK',
          a,
          { axis: 1, largest: 1, sorted: 1 },
          { inputs: ['a', 'k'], outputs: ['values', 'indices'] },
        ),
        constants: { k: [op.k] },
        results: [floats('values', [1, op.k]), { name: 'indices', type: 'int64', shape: [1, op.k] }],
      };
    case 'gather':
      return {
        ...single('Gather', [b[0], a[1]], { axis: 0 }),
        operands: [operands[0], { ...operands[1], type: 'int32' }],
      };
    case 'add':
      return single('Add', a);
    case 'sum':
      return {
        ...single(
          'ReduceSum',
          a.filter((_, axis) => axis !== op.axis),
          { keepdims: 0 },
          { inputs: ['a', 'axes'] },
        ),
        constants: { axes: [op.axis] },
      };
    case 'permute':
      return single(
        'Transpose',
        op.order.map((axis) => a[axis]),
        { perm: op.order },
      );
    case 'bicubic':
      return {
        ...single(
          'Resize',
          [...a.slice(0, 2), ...op.size],
          {
            mode: 'cubic',
            coordinate_transformation_mode: 'half_pixel',
            cubic_coeff_a: { float: -0.75 },
          },
          { inputs: ['a', '', '', 'sizes'] },
        ),
        constants: { sizes: [...a.slice(0, 2), ...op.size] },
      };
  }
}

function causalAttention(
  operands: readonly OnnxValue[],
  { heads, kvHeads }: { readonly heads: number; readonly kvHeads: number },
): OnnxModel {
  const [, T, width] = operands[0].shape;
  const K = width / heads;
  const cache = ['keys', 'values'].map(
    (name): OnnxValue => ({ name, type: 'float32', shape: [1, kvHeads, T, K] }),
  );
  return {
    nodes: [
      {
        op: 'GroupQueryAttention',
        domain: 'com.microsoft',
        attributes: { num_heads: heads, kv_num_heads: kvHeads },
        inputs: ['a', 'b', 'c', '', '', 'last', 'count'],
        outputs: ['y', 'keys', 'values'],
      },
    ],
    operands,
    constants: { last: { int32: [T - 1] }, count: { int32: [T] } },
    results: [...cache, { name: 'y', type: 'float32', shape: [1, T, width] }],
  };
}

/** A composition: there is no such op for inference. */
function linearCrossEntropy(operands: readonly OnnxValue[]): OnnxModel {
  return {
    nodes: [
      { op: 'Gemm', inputs: ['a', 'b'], outputs: ['logits'], attributes: { transB: 1 } },
      { op: 'LogSoftmax', inputs: ['logits'], outputs: ['logs'], attributes: { axis: 1 } },
      { op: 'GatherElements', inputs: ['logs', 'c'], outputs: ['chosen'], attributes: { axis: 1 } },
      { op: 'Mul', inputs: ['chosen', 'd'], outputs: ['shares'] },
      { op: 'ReduceSum', inputs: ['shares'], outputs: ['y'], attributes: { keepdims: 0 } },
    ],
    operands: operands.map((one) => (one.name === 'c' ? { ...one, type: 'int32' } : one)),
    results: [{ name: 'y', type: 'float32', shape: [] }],
  };
}

async function prepare(
  ort: Ort,
  model: OnnxModel,
  operands: readonly Operand[],
  copies: number,
  files: readonly OnnxFile[] = [],
): Promise<PeerRun> {
  const session = await ort.InferenceSession.create(encodeModel(model), {
    executionProviders: ['webgpu'],
    externalData: files,
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
    for (const [name, tensor] of Object.entries(latest)) if (!model.inPlace?.[name]) tensor.dispose();
    latest = {};
  };
  return {
    run: async (count) => {
      for (let i = 0; i < count; i++) {
        drop();
        const feeds = sets[turn++ % copies];
        const places = model.results.map(({ name }) => [name, feeds[model.inPlace?.[name] ?? ''] ?? null]);
        latest = await session.run(feeds, Object.fromEntries(places));
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
