// A decoder as a graph of ONNX Runtime's own operators, as its model builder and transformers.js use them:
// https://github.com/microsoft/onnxruntime-genai, src/python/py/models.
import type { LanguageConfig } from '../../ps3/language/config.ts';
import {
  cachedRows,
  type DecoderTask,
  type DecoderWeight,
  decoderWeights,
  GROUP,
  newIds,
  packedIntegers,
  rotations,
} from '../decoder.ts';
import type { OnnxAttributes, OnnxModel, OnnxNode, OnnxValue } from './onnx.ts';
import type { Operand } from './peer.ts';

/** The bytes of a weight, under its name. */
export interface OnnxFile {
  readonly path: string;
  readonly data: Uint8Array;
}

/** The model with its weights, and what a run is given: ids, then keys and values of each block. */
export interface OrtDecoder {
  readonly model: OnnxModel;
  readonly operands: readonly Operand[];
  readonly files: readonly OnnxFile[];
}

export function decoderModel(task: DecoderTask): OrtDecoder {
  const builder = new DecoderBuilder(task);
  return builder.build();
}

/** Operators beyond the standard. */
const domain = 'com.microsoft';

class DecoderBuilder {
  readonly #task: DecoderTask;
  readonly #nodes: OnnxNode[] = [];
  readonly #weights: OnnxValue[] = [];
  readonly #files: OnnxFile[] = [];
  readonly #remaining: Generator<DecoderWeight>;

  constructor(task: DecoderTask) {
    this.#task = task;
    this.#remaining = decoderWeights(task.config);
  }

  build(): OrtDecoder {
    const { config, tokens, position } = this.#task;
    const { layers, kvHeads, headSize, contextLength, vocabSize } = config;
    const embedding = this.#next();
    const table = this.#table(embedding);
    this.#put('cosines', rotations(config, Math.cos), [contextLength, headSize / 2]);
    this.#put('sines', rotations(config, Math.sin), [contextLength, headSize / 2]);
    const operands: OnnxValue[] = [{ name: 'ids', type: 'int32', shape: [1, tokens] }];
    const given: Operand[] = [{ data: newIds(this.#task), shape: [1, tokens] }];
    const results: OnnxValue[] = [];
    const inPlace: Record<string, string> = {};
    const shape = [1, kvHeads, contextLength, headSize];
    let h = this.#embed(table);
    let branch: string | undefined;
    for (let block = 0; block < layers; block++) {
      const halves = headsApart(config, cachedRows(config, block));
      for (const [part, data] of Object.entries(halves)) {
        const [past, present] = ['past', 'present'].map((name) => `${name}.${block}.${part}`);
        operands.push({ name: past, type: 'float32', shape });
        results.push({ name: present, type: 'float32', shape });
        inPlace[present] = past;
        given.push({ data, shape });
      }
      [h, branch] = this.#block(block, h, branch);
    }
    const [normed] = this.#norm(h, branch);
    const last = tokens === 1 ? normed : this.#add('Gather', [normed, 'last'], { axis: 1 });
    const logits = this.#product(last, { ...embedding, name: 'head' }, table);
    const count = position + tokens;
    return {
      model: {
        nodes: this.#nodes,
        operands,
        constants: { last: [tokens - 1], before: { int32: [count - 1] }, count: { int32: [count] } },
        weights: this.#weights,
        inPlace,
        results: [...results, { name: logits, type: 'float32', shape: [1, 1, vocabSize] }],
      },
      operands: given,
      files: this.#files,
    };
  }

  #next(): DecoderWeight {
    return this.#remaining.next().value;
  }

  #put(name: string, data: Float32Array | Uint8Array, shape: readonly number[]): string {
    const type = data instanceof Uint8Array ? 'uint8' : 'float32';
    this.#weights.push({ name, type, shape });
    this.#files.push({ path: name, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
    return name;
  }

  #add(
    op: string,
    inputs: readonly string[],
    attributes?: OnnxAttributes,
    others: Pick<Partial<OnnxNode>, 'domain' | 'outputs'> = {},
  ): string {
    const { domain, outputs = [`value.${this.#nodes.length}`] } = others;
    this.#nodes.push({ op, domain, inputs, outputs, attributes });
    return outputs[0];
  }

  /** Names of a matrix in floats, or of its integers and factors; integers are held from 0 on, with 8 for zero. */
  #table(weight: DecoderWeight): string[] {
    const { name, shape, values, factor = 1 } = weight;
    if (this.#task.storage === 'f32') return [this.#put(name, values, shape)];
    const [N, K] = shape;
    const bytes = packedIntegers(weight).map((byte) => byte ^ 0x88);
    const factors = new Float32Array((N * K) / GROUP).fill(factor);
    return [
      this.#put(`${name}.bytes`, bytes, [N, K / 2]),
      this.#put(`${name}.factors`, factors, [N, K / GROUP]),
    ];
  }

  #embed([table, factors]: readonly string[]): string {
    if (factors === undefined) return this.#add('Gather', [table, 'ids'], { axis: 0 });
    const attributes = { bits: 4, block_size: GROUP, gather_axis: 0, quantize_axis: 1 };
    return this.#add('GatherBlockQuantized', [table, 'ids', factors], attributes, { domain });
  }

  /** x weight^T. @param table  the weight, where it is there already */
  #product(x: string, weight: DecoderWeight, table?: readonly string[]): string {
    const [N, K] = weight.shape;
    if (this.#task.storage === 'f32') {
      const matrix = this.#put(`${weight.name}.transposed`, transposed(weight), [K, N]);
      return this.#add('MatMul', [x, matrix]);
    }
    const [bytes, factors] = table ?? this.#table(weight);
    const blocks = this.#reshaped(bytes, [N, K / GROUP, GROUP / 2]);
    const row = this.#reshaped(factors, [(N * K) / GROUP]);
    const attributes = { N, K, bits: 4, block_size: GROUP };
    return this.#add('MatMulNBits', [x, blocks, row], attributes, { domain });
  }

  /** The same bytes as a weight of another shape. */
  #reshaped(name: string, shape: readonly number[]): string {
    const { type } = this.#weights.find((one) => one.name === name)!;
    const { data } = this.#files.find(({ path }) => path === name)!;
    const other = `${name}, reshaped`;
    this.#weights.push({ name: other, type, shape });
    this.#files.push({ path: other, data });
    return other;
  }

  /** The norm of h and what is added to it; with that, the sum too. */
  #norm(h: string, branch?: string): [normed: string, h: string] {
    const { shape, name, values } = this.#next();
    const gamma = this.#put(name, values, shape);
    const attributes = { epsilon: { float: this.#task.config.normEps } };
    if (branch === undefined) return [this.#add('SimplifiedLayerNormalization', [h, gamma], attributes), h];
    const outputs = [`${name}.y`, '', '', `${name}.sum`];
    this.#add('SkipSimplifiedLayerNormalization', [h, branch, gamma], attributes, { domain, outputs });
    return [outputs[0], outputs[3]];
  }

  #block(block: number, x: string, before?: string): [h: string, branch: string] {
    const { heads, kvHeads, mlpHidden } = this.#task.config;
    const [normed, h] = this.#norm(x, before);
    const products = this.#product(normed, this.#next());
    const bias = this.#next();
    const qkv = this.#add('Add', [products, this.#put(bias.name, bias.values, bias.shape)]);
    const [keys, values] = ['keys', 'values'].map((part) => `${block}.${part}`);
    const heard = this.#add(
      'GroupQueryAttention',
      [qkv, '', '', `past.${keys}`, `past.${values}`, 'before', 'count', 'cosines', 'sines'],
      { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1 },
      { domain, outputs: [`heard.${block}`, `present.${keys}`, `present.${values}`] },
    );
    const [again, sum] = this.#norm(h, this.#product(heard, this.#next()));
    const { shape, values: rows, ...gateUp } = this.#next();
    const [gate, up] = ['gate', 'up'].map((part, i) => {
      const half = rows.subarray((i * rows.length) / 2, ((i + 1) * rows.length) / 2);
      return this.#product(again, {
        ...{ ...gateUp, name: `${gateUp.name}.${part}` },
        ...{ shape: [mlpHidden, shape[1]], values: half },
      });
    });
    const silu = this.#add('Mul', [gate, this.#add('Sigmoid', [gate])]);
    return [sum, this.#product(this.#add('Mul', [silu, up]), this.#next())];
  }
}

/** [N, K] to [K, N]. */
function transposed({ values, shape: [N, K] }: DecoderWeight): Float32Array {
  const columns = new Float32Array(N * K);
  for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) columns[k * N + n] = values[n * K + k];
  return columns;
}

/** [L, 2 G K] to keys and values of [G, L, K] each. */
function headsApart(
  { kvHeads: G, headSize: K, contextLength: L }: LanguageConfig,
  rows: Float32Array,
): Readonly<Record<'keys' | 'values', Float32Array>> {
  const half = (first: number): Float32Array =>
    Float32Array.from({ length: G * L * K }, (_, e) => {
      const [g, l] = [Math.floor(e / (L * K)), Math.floor(e / K) % L];
      return rows[l * 2 * G * K + first + g * K + (e % K)];
    });
  return { keys: half(0), values: half(G * K) };
}
