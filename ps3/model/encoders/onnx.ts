// Encoders as ONNX files, run by onnxruntime-node, which is loaded only when one is asked for: it is no dependency.
import type { Engine } from '../../../engine/index.ts';
import { normalizedPixels } from '../baselines/tiles.ts';
import type { DecodedImage } from '../decoder.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { type OtherEncoder, unitVector } from './encoder.ts';
import { EncoderError } from './errors.ts';

/** What is used of onnxruntime-node. */
interface OrtTensor {
  readonly data: ArrayLike<number>;
  readonly dims: readonly number[];
}
interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(inputs: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}
interface Ort {
  readonly InferenceSession: { create(path: string): Promise<OrtSession> };
  readonly Tensor: new (
    type: string,
    data: Float32Array | BigInt64Array,
    dims: readonly number[],
  ) => OrtTensor;
}

/** The files of an encoder and how it sees images. */
export interface OnnxFiles {
  /** Path of the image model: [1, 3, S, S] to [1, E]. */
  readonly image: string;
  /** Path of the text model: token ids [1, L] int64, perhaps with `attention_mask`, to [1, E]. */
  readonly text: string;
  readonly tokenizer: Tokenizer;
  /** S, to which images are squashed as Pillow does. */
  readonly sidePx: number;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  /** Names of the outputs; default the first of two axes. */
  readonly imageOutput?: string;
  readonly textOutput?: string;
}

/** @throws EncoderError where it is not installed */
async function loadRuntime(module: string): Promise<Ort> {
  try {
    const loaded = (await import(module)) as Ort & { default?: Ort };
    return loaded.default ?? loaded;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new EncoderError(
      `encoder: ${module} must be installed to run an ONNX file, got none. Run npm install ${module}.`,
      { cause },
    );
  }
}

async function openSession(ort: Ort, path: string): Promise<OrtSession> {
  try {
    return await ort.InferenceSession.create(path);
  } catch (cause) {
    const [reason] = (cause as Error).message.split('\n');
    throw new EncoderError(
      `encoder: ${path} must be a model that onnxruntime-node runs, got: ${reason.replace(/\.$/, '')}. Export it again.`,
      { cause },
    );
  }
}

/** The one feature of a run: [1, E] of the named output, or of the first with two axes. */
async function featureOf(
  session: OrtSession,
  path: string,
  inputs: Readonly<Record<string, OrtTensor>>,
  output: string | undefined,
): Promise<Float32Array> {
  const unknown = session.inputNames.find((name) => !(name in inputs));
  if (unknown !== undefined)
    throw new EncoderError(
      `encoder: ${path} must take ${Object.keys(inputs).join(', ')}, got an input ${unknown}. Export it without.`,
    );
  const used = session.inputNames.map((name) => [name, inputs[name]] as const);
  const outputs = await session.run(Object.fromEntries(used));
  const name = output ?? session.outputNames.find((name) => outputs[name].dims.length === 2);
  const found = name === undefined ? undefined : outputs[name];
  if (found?.dims.length !== 2 || found.dims[0] !== 1) {
    const shapes = session.outputNames.map((name) => `${name} [${outputs[name].dims.join(', ')}]`).join(', ');
    throw new EncoderError(
      `encoder: ${path} must give ${output ?? 'a feature'} [1, E], got ${shapes}. Name the output in the description.`,
    );
  }
  return unitVector(found.data);
}

/**
 * Opens two ONNX files as an encoder.
 *
 * @param module  the runtime's package
 * @throws EncoderError where the runtime is not installed or a file is no model
 */
export async function openOnnx(
  engine: Engine,
  name: string,
  files: OnnxFiles,
  module = 'onnxruntime-node',
): Promise<OtherEncoder> {
  const ort = await loadRuntime(module);
  const image = await openSession(ort, files.image);
  const text = await openSession(ort, files.text);
  const { tokenizer, sidePx } = files;
  const oneText = async (words: string): Promise<Float32Array> => {
    const { ids } = tokenizer.encodeCounted([words]);
    const dims = [1, tokenizer.contextLength];
    const mask = Array.from(ids, (id) => Number(id !== tokenizer.padId));
    const int64 = (values: ArrayLike<number>): OrtTensor =>
      new ort.Tensor('int64', BigInt64Array.from(Array.from(values, BigInt)), dims);
    // A model that takes one input may call it as it likes.
    const [only] = text.inputNames.length === 1 ? text.inputNames : ['input_ids'];
    return featureOf(text, files.text, { [only]: int64(ids), attention_mask: int64(mask) }, files.textOutput);
  };
  return {
    name,
    parts: ['image', 'crop'],
    async imageFeature(_id: string, _part, pixels: DecodedImage) {
      const values = await normalizedPixels(engine, pixels, sidePx, files);
      const tensor = new ort.Tensor('float32', values, [1, 3, sidePx, sidePx]);
      const [only] = image.inputNames;
      return featureOf(image, files.image, { [only]: tensor }, files.imageOutput);
    },
    async textFeatures(texts) {
      const features: Float32Array[] = [];
      for (const words of texts) features.push(await oneText(words));
      return features;
    },
    async [Symbol.asyncDispose]() {
      await image.release();
      await text.release();
    },
  };
}
