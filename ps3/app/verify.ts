// Replays reference tensors: runs the model on a file's weights and inputs and compares everything the file
// holds.
import {
  AdamW,
  backward,
  cast,
  type Engine,
  openSafetensors,
  permute,
  resize,
  type SafetensorsFile,
  slice,
  type Tensor,
} from '../../engine/index.ts';
import { fillParameters } from '../model/checkpoint/checkpoint.ts';
import { configFromTensors } from '../model/config/tensor_config.ts';
import { GROUPS } from '../model/core.ts';
import { PS3 } from '../model/ps3.ts';
import { imageSize, scaleSizes } from '../model/vision/scales.ts';
import { featureMaps } from '../model/vision/token_maps.ts';
import type { LookOptions, VisionOutput } from '../model/vision/vision_types.ts';
import { type Batch, pretrainLoss } from '../train/loss.ts';
import { Comparer, type Comparison, VerifyError } from './comparison.ts';
import { verifyBaselines } from './verify_baselines.ts';
import { verifyLanguage } from './verify_language.ts';
import { verifyVila, verifyVilaTraining } from './verify_vila.ts';

/** Below this a step-0 gradient is rounding, and AdamW moves the weight in a direction that rounding decides. */
const ROUNDING_GRADIENT = 1e-6;

/**
 * Replays a file in the format of tests/fixtures/README.md.
 *
 * @param checkpoint  folder of the weights, for files without
 * @param relative    how far a tensor may be off, as a part of its largest magnitude, unless it is a map
 *                    or a gradient; default 1e-4, of language models 1e-5
 * @returns one comparison per reference tensor in the file
 * @throws SafetensorsError, and an error that names what the file lacks
 */
export async function verify(
  engine: Engine,
  path: string,
  { checkpoint, relative: asked }: { checkpoint?: string; relative?: number } = {},
): Promise<readonly Comparison[]> {
  await using file = await openSafetensors(path);
  if (file.metadata.kind === 'qwen2') return await verifyLanguage(engine, file, asked ?? 1e-5);
  const relative = asked ?? 1e-4;
  if (file.metadata.kind === 'vila-hd') return await verifyVila(engine, file, relative);
  if (file.metadata.kind === 'vila-hd-train') return await verifyVilaTraining(engine, file, relative);
  if (file.metadata.kind === 'vila-baselines') return await verifyBaselines(engine, file, relative);
  const model = checkpoint ? await PS3.load(engine, checkpoint) : await modelOf(engine, file);
  const replay = new Replay(engine, file, model, relative);
  try {
    if (file.tensors.has('step0.loss')) await replay.training();
    else await replay.inference();
    return replay.comparisons;
  } finally {
    replay.dispose();
  }
}

/** The model whose weights are in the file. */
async function modelOf(engine: Engine, file: SafetensorsFile): Promise<PS3> {
  const prefix = 'weights.';
  const shapes = new Map<string, readonly number[]>();
  for (const [name, { shape }] of file.tensors)
    if (name.startsWith(prefix)) shapes.set(name.slice(prefix.length), shape);
  const model = PS3.allocate(engine, configFromTensors(file.metadata, shapes));
  await fillParameters(model.parameters, [file], { prefix });
  return model;
}

class Replay {
  readonly #comparer: Comparer;
  readonly #engine: Engine;
  readonly #file: SafetensorsFile;
  readonly #model: PS3;

  constructor(engine: Engine, file: SafetensorsFile, model: PS3, relative: number) {
    this.#engine = engine;
    this.#file = file;
    this.#model = model;
    this.#comparer = new Comparer(file, relative);
  }

  get comparisons(): readonly Comparison[] {
    return this.#comparer.comparisons;
  }

  dispose(): void {
    this.#model.dispose();
  }

  async inference(): Promise<void> {
    const { vision } = this.#model;
    using scope = this.#engine.scope();
    const image = await this.#input(
      this.#file.tensors.has('in.image') ? 'in.image' : 'in.pixel_values',
      scope,
    );
    const text = this.#model.encodeText(await this.#input('in.text', scope));
    await this.#comparer.check('text.pooled_output', text.pooled);
    await this.#comparer.check('text.prompt', text.prompt);
    const grids = vision.grids(image);
    const sizes = scaleSizes(this.#model.config.vision, ...imageSize(image));
    for (let i = 0; i < sizes.length; i++)
      if (this.#file.tensors.has(`resize.${i}`))
        await this.#comparer.check(`resize.${i}`, resize(image, sizes[i], 'bicubic'));
    const lowRes = vision.lowRes(image, this.#model.config.vision.depth);
    for (let i = 0; i < lowRes.hidden.length; i++)
      await this.#comparer.check(`low.hidden.${i}`, lowRes.hidden[i]);
    await this.#checkCache(lowRes.qkv);
    await this.#comparer.check('low.pooled', vision.pool(lowRes.hidden[lowRes.hidden.length - 1]));
    const { aux } = vision.selectionFeatures(image, lowRes);
    if (aux) await this.#comparer.check('aux.features', permute(aux, [0, 2, 1]));

    const groundTruth = this.#file.tensors.has('in.gt_selection_maps')
      ? await this.#input('in.gt_selection_maps', scope)
      : undefined;
    const calls: Record<string, LookOptions> = {
      look0: { looks: 0 },
      look1: { looks: 1 },
      look2: { looks: 2 },
      all: { looks: 'all' },
      tokens: { tokens: Number(this.#file.metadata.num_token_look_close ?? 0) },
      topdown: { looks: 2, prompt: text.prompt },
      topdown1: { looks: 1, prompt: text.prompt },
      gt: { looks: 1, prompt: text.prompt, groundTruth },
      smooth: { looks: 1, smooth: true },
      first1: { looks: 1, onlyFirstScales: 1 },
    };
    for (const [name, options] of Object.entries(calls)) {
      if (!this.#file.tensors.has(`${name}.last_hidden_state`)) continue;
      const output = vision.forward(image, options);
      await this.#checkOutput(name, output);
      if (!this.#file.tensors.has(`${name}.feature_maps.0`)) continue;
      const counts = output.selectionCounts;
      const maps = featureMaps(output.lastHiddenState, output.selectionMaps, counts, grids[0]);
      for (let i = 0; i < maps.length; i++)
        await this.#comparer.check(`${name}.feature_maps.${i}`, permute(maps[i], [0, 2, 1]));
    }
    if (!groundTruth) return;
    const { pooled } = vision.pretrain(image, { prompt: text.prompt, groundTruth });
    await this.#comparer.check('pretrain.pooled_output', pooled);
  }

  async training(): Promise<void> {
    const { metadata } = this.#file;
    const [beta1, beta2] = metadata.betas.split(',').map(Number);
    const { parameters } = this.#model;
    const optimizer = new AdamW(parameters, {
      lr: Number(metadata.lr),
      betas: [beta1, beta2],
      eps: Number(metadata.eps),
      weightDecay: GROUPS.map(({ decay }) => (decay ? Number.parseFloat(metadata.weight_decay) : 0)),
    });
    for (let step = 0; step < Number(metadata.steps); step++) {
      using scope = this.#engine.scope();
      const output = pretrainLoss(this.#model, await this.#batch(scope), {
        dice: 0,
        bottomUpBoxes: 'sampled',
      });
      const { total, contrastive, bottomUp, topDown } = output.losses;
      await this.#comparer.check(`step${step}.loss`, total);
      await this.#comparer.check(`step${step}.contrastive_loss`, contrastive);
      await this.#comparer.check(`step${step}.prior_box_supervision_loss`, bottomUp);
      await this.#comparer.check(`step${step}.posterior_box_supervision_loss`, topDown);
      if (step === 0) {
        await this.#comparer.check('step0.image_features', output.imageFeatures);
        await this.#comparer.check('step0.text_features', output.textFeatures);
        await this.#comparer.check('step0.prompt', output.prompt);
        for (let i = 0; i < output.selectionMaps.length; i++) {
          await this.#comparer.check(`step0.selection_maps.${i}`, output.selectionMaps[i]);
          await this.#comparer.check(`step0.bottomup_selection_probs.${i}`, output.maps.bottomUp[i]);
          await this.#comparer.check(`step0.topdown_selection_probs.${i}`, output.maps.topDown![i]);
        }
      }
      backward(total);
      if (step === 0)
        for (const name of parameters.names)
          if (this.#file.tensors.has(`grad.${name}`))
            await this.#comparer.check(`grad.${name}`, parameters.get(name).grad!);
      optimizer.step();
    }
    for (const name of parameters.names) await this.#checkAfter(name);
    optimizer.dispose();
  }

  async #batch(scope: ReturnType<Engine['scope']>): Promise<Batch> {
    const isGlobal = await this.#file.f32('in.is_global_text');
    return {
      image: await this.#input('in.pixel_values', scope),
      ids: await this.#input('in.text', scope),
      box: await this.#input('in.gt_selection_maps', scope),
      isGlobal: this.#engine.tensor(isGlobal, [isGlobal.length, 1], { scope }),
      isLocal: this.#engine.tensor(
        isGlobal.map((flag) => 1 - flag),
        [isGlobal.length],
        { scope },
      ),
    };
  }

  async #input(name: string, scope: ReturnType<Engine['scope']>): Promise<Tensor> {
    const entry = this.#file.tensors.get(name);
    if (!entry)
      throw new VerifyError(
        `verify: the file must hold ${name}, got ${this.#file.tensors.size} other tensors.`,
      );
    if (entry.dtype === 'U8' && name === 'in.image')
      return this.#engine.tensor(await this.#file.bytes(name), entry.shape, { scope });
    const numbers = await this.#file.f32(name);
    // Maps may be stored as integers or booleans; token ids are what must be integers.
    const data = name === 'in.text' ? Int32Array.from(numbers) : numbers;
    return this.#engine.tensor(data, entry.shape, { scope });
  }

  async #checkAfter(name: string): Promise<void> {
    if (!this.#file.tensors.has(`after3.${name}`)) return;
    using weight = cast(this.#model.parameters.get(name), 'f32');
    const got = await weight.data();
    const want = await this.#file.f32(`after3.${name}`);
    const gradient = await this.#file.f32(`grad.${name}`);
    // Each side can have moved by lr in every step, in opposite directions.
    const reach = 2 * Number(this.#file.metadata.lr) * Number(this.#file.metadata.steps);
    const undecided = (i: number): boolean =>
      Math.abs(gradient[i]) <= ROUNDING_GRADIENT && Math.abs(got[i] - want[i]) <= reach;
    this.#comparer.compare(`after3.${name}`, got, want, undecided);
  }

  async #checkOutput(name: string, output: VisionOutput): Promise<void> {
    await this.#comparer.check(`${name}.last_hidden_state`, output.lastHiddenState);
    for (let i = 0; i < output.maps.probs.length; i++) {
      await this.#comparer.check(`${name}.selection_probs.${i}`, output.maps.probs[i]);
      await this.#comparer.check(`${name}.selection_maps.${i}`, output.selectionMaps[i]);
    }
  }

  /** The reference keeps [L, 2, B, heads, N, head]; ours is packed [B, N, 3C] per block. */
  async #checkCache(qkv: readonly Tensor<'f32'>[]): Promise<void> {
    if (!this.#file.tensors.has('low.kv_cache')) return;
    const [B, N, packed] = qkv[0].shape;
    const C = packed / 3;
    const { heads } = this.#model.config.vision;
    const parts: Float32Array[] = [];
    for (const block of qkv)
      for (const start of [C, 2 * C]) {
        const columns = slice(block, { axis: 2, start, length: C }).reshape([B, N, heads, C / heads]);
        parts.push(await permute(columns, [0, 2, 1, 3]).data());
      }
    const got = new Float32Array(parts.length * B * N * C);
    for (const [i, part] of parts.entries()) got.set(part, i * B * N * C);
    this.#comparer.compare('low.kv_cache', got, await this.#file.f32('low.kv_cache'));
  }
}
