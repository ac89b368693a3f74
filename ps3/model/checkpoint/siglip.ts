// A SigLIP or SigLIP 2 image-text checkpoint, opened to begin a PS3 with: both towers, the pooling head, and the scale and
// bias of the logits, under open_clip's names or transformers'. Zhai et al. 2023, arXiv:2303.15343; 2025, arXiv:2502.14786.
import { type ParameterStore, type SafetensorsFile, size } from '../../../engine/index.ts';
import { ConfigError, type ModelConfig } from '../config/config.ts';
import type { LookSizes } from '../config/look_sizes.ts';
import { parseOpenClip, parseTransformers, ps3Config, type SiglipConfig } from '../config/siglip_config.ts';
import { isTower, partOf } from '../parts.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import {
  type FillOptions,
  type OpenOptions,
  openWeights,
  readJsonIfThere,
  readTokenizer,
  STORED,
  streamWeights,
  WEIGHTS,
} from './checkpoint.ts';
import { type CheckpointFiles, type CheckpointSource, checkpointFiles } from './files.ts';
import { planParameters } from './init.ts';
import { resampleKernels, resamplePositions } from './resample.ts';
import { type Segment, segmentsOf } from './siglip_names.ts';

const OPEN_CLIP = { config: 'open_clip_config.json', weights: 'open_clip_model.safetensors' } as const;
const POSITIONS = 'vision_model.trunk.pos_embed';
const KERNEL = 'vision_model.trunk.patch_embed.proj.weight';

/** Tensors that are no weights. */
const BUFFER = /\.position_ids$/;

/** Whether a place holds a SigLIP checkpoint, and not one of PS3. @throws ConfigError for configurations that are no JSON */
export async function isSiglip(source: CheckpointSource, options: OpenOptions = {}): Promise<boolean> {
  const files = checkpointFiles(source, options);
  const config = Object(await readJsonIfThere(files, 'config.json')) as Record<string, unknown>;
  if (config.model_type === 'siglip' || config.model_type === 'siglip2') return true;
  return config.model_type !== 'ps3' && (await files.open(OPEN_CLIP.config)) !== undefined;
}

/** An open SigLIP checkpoint whose names and shapes are checked; nothing of its weights is read. */
export class SiglipReader implements AsyncDisposable {
  /** What the PS3 that begins with it is made of. */
  readonly config: ModelConfig;
  /** The tokenizer of the text tower. */
  readonly tokenizer: Tokenizer;
  readonly #siglip: SiglipConfig;
  readonly #files: readonly SafetensorsFile[];
  readonly #segments: ReadonlyMap<string, readonly Segment[]>;

  private constructor(
    config: ModelConfig,
    tokenizer: Tokenizer,
    siglip: SiglipConfig,
    files: readonly SafetensorsFile[],
    segments: ReadonlyMap<string, readonly Segment[]>,
  ) {
    this.config = config;
    this.tokenizer = tokenizer;
    this.#siglip = siglip;
    this.#files = files;
    this.#segments = segments;
  }

  /**
   * Reads configuration, tokenizer and the headers of the weights.
   *
   * @param look  how the towers become a PS3; where its patches or its low-res grid are not the checkpoint's, the patch
   *   embedding and the position table are resampled
   * @throws ConfigError: one error that lists every missing, unknown, misshapen and repeated tensor
   * @throws SafetensorsError, TokenizerError
   */
  static async open(
    source: CheckpointSource,
    look: LookSizes,
    options: OpenOptions = {},
  ): Promise<SiglipReader> {
    const files = checkpointFiles(source, options);
    const openClip = await readJsonIfThere(files, OPEN_CLIP.config);
    const weights = await openWeights(files, openClip ? OPEN_CLIP.weights : WEIGHTS);
    try {
      const shapes = new Map(
        weights.flatMap((file) => [...file.tensors].map(([name, { shape }]) => [name, shape])),
      );
      const siglip = openClip
        ? parseOpenClip(openClip, (name) => shapes.get(name))
        : await readTransformers(files);
      const config = ps3Config(siglip, look);
      const segments = matchSegments(config, siglip, weights, files.place);
      const { clean, contextLength, vocabSize } = config.text;
      const tokenizer = await readTokenizer(files, config, options, { clean, context_length: contextLength });
      if (tokenizer.vocabSize > vocabSize)
        throw new ConfigError(
          `PS3.start: the tokenizer of ${files.place} must have at most the ${vocabSize} tokens of the text tower, got ${tokenizer.vocabSize}.`,
        );
      return new SiglipReader(config, tokenizer, siglip, weights, segments);
    } catch (error) {
      await Promise.all(weights.map((file) => file.close()));
      throw error;
    }
  }

  /** Streams the weights of both towers into their places, resampled where sizes differ. */
  async fill(parameters: ParameterStore, options: Omit<FillOptions, 'prefix'> = {}): Promise<void> {
    const resampled = new Map<string, Segment>();
    await streamWeights(parameters, this.#files, options, (stored) => {
      const segments = this.#segments.get(stored) ?? [];
      const [{ name, length } = { name: '', length: 0 }] = segments;
      if (!(name === POSITIONS || name === KERNEL) || parameters.get(name).size === length) return segments;
      resampled.set(name, segments[0]);
      return [];
    });
    const { patchPx, gridSide } = this.#siglip;
    const { vision } = this.config;
    for (const [name, { stored }] of resampled) {
      const numbers = await this.#files.find((file) => file.tensors.has(stored))!.f32(stored);
      const tensor = parameters.get(name);
      tensor.write(
        name === POSITIONS
          ? resamplePositions(numbers, gridSide, vision.posGridSide)
          : resampleKernels(numbers, patchPx, vision.patchPx),
      );
      await tensor.ready();
    }
  }

  /** Closes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}

async function readTransformers(files: CheckpointFiles): Promise<SiglipConfig> {
  const tokenizer = Object(await readJsonIfThere(files, 'tokenizer_config.json')) as {
    tokenizer_class?: string;
  };
  const json = await readJsonIfThere(files, 'config.json');
  if (json === undefined)
    throw new ConfigError(`PS3.start: ${files.place} must hold config.json, got no such file.`);
  // SigLIP 2 reads with Gemma's tokenizer, which keeps punctuation.
  const isLower = /Gemma|Siglip2/.test(tokenizer.tokenizer_class ?? '');
  return parseTransformers(json, await readJsonIfThere(files, 'preprocessor_config.json'), isLower);
}

/** Shapes of the tower's tensors as the checkpoint has them: of its own grid and patches. */
function storedShape(name: string, shape: readonly number[], siglip: SiglipConfig): readonly number[] {
  const { gridSide, patchPx, width } = siglip;
  if (name === POSITIONS) return [1, gridSide ** 2, width];
  return name === KERNEL ? [width, 3, patchPx, patchPx] : shape;
}

/** Which stored tensor goes where, once all are as the configuration says. */
function matchSegments(
  config: ModelConfig,
  siglip: SiglipConfig,
  files: readonly SafetensorsFile[],
  place: string,
): Map<string, Segment[]> {
  const byStored = new Map<string, Segment[]>();
  for (const [name, { shape }] of planParameters(config)) {
    if (!isTower(partOf(name))) continue;
    for (const segment of segmentsOf(name, storedShape(name, shape, siglip), siglip.naming))
      byStored.set(segment.stored, [...(byStored.get(segment.stored) ?? []), segment]);
  }
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const file of files)
    for (const [name, { shape, dtype }] of file.tensors) {
      const want = byStored.get(name)?.[0].storedShape;
      const isSame = want && (shape.join() === want.join() || (size(shape) === 1 && size(want) === 1));
      if (seen.has(name)) faults.push(`${name} twice`);
      else if (!want && !BUFFER.test(name)) faults.push(`unknown ${name}`);
      else if (want && !STORED[dtype]) faults.push(`${name} as ${dtype}, not as floats`);
      else if (want && !isSame) faults.push(`${name} [${shape}], not [${want}]`);
      seen.add(name);
    }
  for (const name of byStored.keys()) if (!seen.has(name)) faults.push(`missing ${name}`);
  if (faults.length > 0)
    throw new ConfigError(
      `PS3.start: the weights of ${place} must be those of its configuration, got ${faults.join('; ')}.`,
    );
  return byStored;
}
