// Replays a VILA-HD of a reference file: the glance, the question, and every call's looks, sequence and greedy answer.
import {
  add,
  argMax,
  backward,
  concat,
  type Engine,
  embedding,
  type SafetensorsFile,
  type Scope,
  slice,
  type Tensor,
} from '../../engine/index.ts';
import { type Box, rasteriseBoxes } from '../data/boxes.ts';
import { fillLanguage } from '../language/checkpoint.ts';
import { parseLanguageConfig } from '../language/config.ts';
import { LanguageModel } from '../language/language_model.ts';
import { storedParts } from '../language/parameters.ts';
import type { LanguageTokenizer } from '../language/tokenizer.ts';
import { fillParameters } from '../model/checkpoint/checkpoint.ts';
import { visionConfigFromTensors } from '../model/config/tensor_config.ts';
import { parseVilaConfig } from '../vila/config.ts';
import { vilaLoss } from '../vila/loss.ts';
import { VilaModel } from '../vila/vila.ts';
import type { Seen, VilaLookOptions } from '../vila/vila_types.ts';
import { Comparer, type Comparison, setting } from './comparison.ts';

/** What PIL's pixels become: (x / 255 - 0.5) / 0.5. */
const HALF = [0.5, 0.5, 0.5] as const;

/** What a call changes. */
interface Call {
  readonly look_close_mode?: 'after_prompt' | 'after_image';
  readonly num_look_close?: number;
  readonly num_token_look_close?: number;
  readonly smooth_selection_prob?: boolean;
  readonly gt?: boolean;
  readonly budget?: readonly number[];
}

/** The model whose weights are in the file. @param budgets  patches of a look per scale, instead of the model's own */
export async function vilaOf(
  engine: Engine,
  file: SafetensorsFile,
  {
    budgets,
    tokenizer,
  }: { readonly budgets?: readonly number[]; readonly tokenizer?: LanguageTokenizer } = {},
): Promise<VilaModel> {
  const prefix = 'weights.';
  const shapes = new Map([...file.tensors].map(([name, { shape }]) => [name, shape]));
  const own = visionConfigFromTensors(file.metadata, shapes, `${prefix}vision_tower.`);
  const vision = budgets ? { ...own, budgets: [...budgets] } : own;
  const config = parseVilaConfig(setting(file, 'vila_config'), setting(file, 'mm_projector_config'));
  const image = { imagePx: Math.max(...vision.scalesPx), mean: HALF, std: HALF };
  const sizes = parseLanguageConfig(setting(file, 'llm_config'));
  const language = LanguageModel.allocate(engine, sizes, { tokenizer });
  await fillLanguage(language.parameters, storedParts(sizes), [file], { prefix: `${prefix}llm.` });
  const ids = setting<{ image: number; newline: number[]; turn_end: number[] }>(file, 'token_ids');
  const tokens = { image: ids.image, newline: ids.newline, turnEnd: ids.turn_end };
  const model = VilaModel.allocate(engine, { config, vision, image }, language, { tokens });
  for (const part of ['vision_tower', 'mm_projector'])
    await fillParameters(model.parameters, [file], { prefix: `${prefix}${part}.` });
  return model;
}

/** The images of the file, [n, 3, S, S], normalised. */
export async function vilaImages(
  engine: Engine,
  file: SafetensorsFile,
  scope: Scope,
): Promise<Tensor<'f32'>> {
  const bytes = await file.bytes('in.image');
  const values = Float32Array.from(bytes, (x) => (x / 255 - 0.5) / 0.5);
  return engine.tensor(values, file.tensors.get('in.image')!.shape, { scope });
}

/**
 * Replays a file of the kind `vila-hd`.
 *
 * @throws VerifyError for a file without what its kind has
 */
export async function verifyVila(
  engine: Engine,
  file: SafetensorsFile,
  relative: number,
): Promise<readonly Comparison[]> {
  const comparer = new Comparer(file, relative);
  const ids = Array.from(await file.f32('in.input_ids'));
  const calls = Object.entries(setting<Record<string, Call>>(file, 'calls'));
  using model = await vilaOf(engine, file);
  using scope = engine.scope();
  const images = await vilaImages(engine, file, scope);
  using seen = model.glance(images);
  const replay = new Replay(engine, file, model, comparer);
  await replay.glance(seen, ids);
  for (const [name, call] of calls) {
    if (!call.budget) {
      await replay.call(name, call, seen, ids);
      continue;
    }
    using other = await vilaOf(engine, file, { budgets: call.budget });
    using again = other.glance(images);
    await new Replay(engine, file, other, comparer).call(name, call, again, ids);
  }
  return comparer.comparisons;
}

class Replay {
  readonly #engine: Engine;
  readonly #file: SafetensorsFile;
  readonly #model: VilaModel;
  readonly #comparer: Comparer;

  constructor(engine: Engine, file: SafetensorsFile, model: VilaModel, comparer: Comparer) {
    this.#engine = engine;
    this.#file = file;
    this.#model = model;
    this.#comparer = comparer;
  }

  /** Low-res tokens, and what the language model makes of them and the question. */
  async glance(seen: Seen, ids: readonly number[]): Promise<void> {
    using scope = this.#engine.scope();
    const { language, projector } = this.#model;
    await this.#comparer.check('low.features', seen.glance!.lowRes.hidden[0]);
    await this.#comparer.check('low.tokens', seen.low);
    const { state, embedded, place } = this.#model.ask(ids, seen.low.in(scope));
    await this.#comparer.check('pass_a.inputs_embeds', embedded);
    const hidden: Tensor<'f32'>[] = [];
    hidden.push(language.decode(embedded, { onLayer: (h) => hidden.push(h.in(scope)) }));
    for (const [i, h] of hidden.entries()) await this.#comparer.check(`pass_a.hidden.${i}`, h);
    const last = embedded.shape[1] - 1;
    this.#comparer.compare(
      'pass_a.position',
      Float32Array.of(place, last),
      await this.#file.f32('pass_a.position'),
    );
    await this.#comparer.check('pass_a.state', state);
    await this.#comparer.check('pass_a.prompt', projector.prompt(state));
  }

  /** What is looked at, what stands in the sequence, its logits, and the answer. */
  async call(name: string, call: Call, seen: Seen, ids: readonly number[]): Promise<void> {
    using scope = this.#engine.scope();
    const model = this.#model;
    const look = await model.look(seen, await this.#options(call, seen, ids, scope));
    const { vision, groups, rows, table, blocks } = look;
    const check = (what: string, tensor: Tensor<'f32'>): Promise<void> =>
      this.#comparer.check(`${name}.${what}`, tensor);
    await check('features', vision!.hiddenStates[0]);
    for (const [i, probs] of vision!.maps.probs.entries()) {
      await check(`selection_probs.${i}`, probs);
      await check(`selection_maps.${i}`, vision!.selectionMaps[i]);
    }
    for (const [b, own] of groups.entries()) {
      let first = seen.low.shape[1];
      for (const [i, { index }] of own.entries()) {
        const key = `${name}.kept_index.${b}.${i}`;
        if (this.#file.tensors.has(key) || index.length > 0)
          this.#comparer.compare(key, Float32Array.from(index), await this.#file.f32(key));
        if (index.length === 0) continue;
        const kept = this.#engine.tensor(rows[b].slice(first, first + index.length), [index.length], {
          scope,
        });
        await check(`kept_tokens.${b}.${i}`, embedding(table, kept) as Tensor<'f32'>);
        first += index.length;
      }
    }
    const embedded = model.embed(ids, blocks);
    await check('inputs_embeds', embedded);
    await check('logits', model.logits(embedded));
    await this.#answer(name, ids, blocks);
  }

  async #options(call: Call, seen: Seen, ids: readonly number[], scope: Scope): Promise<VilaLookOptions> {
    const mode = call.look_close_mode ?? 'after_prompt';
    const map = this.#file.tensors.get('in.gt_selection_maps');
    const { num_look_close: looks, num_token_look_close: count } = call;
    return {
      ...(count === undefined ? { looks: looks ?? 1 } : { tokens: count }),
      smooth: call.smooth_selection_prob ?? false,
      ...(mode === 'after_prompt' && {
        prompt: this.#model.projector.prompt(this.#model.ask(ids, seen.low).state),
      }),
      ...(call.gt &&
        map && {
          groundTruth: this.#engine.tensor(await this.#file.f32('in.gt_selection_maps'), map.shape, {
            scope,
          }),
        }),
    };
  }

  /** Greedy tokens but the one that ends an answer, and the logits that they were chosen by. */
  async #answer(name: string, ids: readonly number[], blocks: readonly Tensor<'f32'>[]): Promise<void> {
    const entry = this.#file.tensors.get(`${name}.generated_tokens`);
    if (!entry) return;
    const [steps] = entry.shape;
    const V = this.#model.language.config.vocabSize;
    const [stop] = setting<{ stop: number[] }>(this.#file, 'token_ids').stop;
    const grown = [...ids];
    const logits = new Float32Array(steps * V);
    for (let step = 0; step < steps; step++) {
      using scope = this.#engine.scope();
      const embedded = this.#model.embed(
        grown,
        blocks.map((block) => block.in(scope)),
      );
      const all = this.#model.logits(embedded);
      const T = all.shape[1];
      const last = await slice(all, { axis: 1, start: T - 1, length: 1 }).data();
      logits.set(last, step * V);
      last[stop] = Number.NEGATIVE_INFINITY;
      const [best] = await argMax(this.#engine.tensor(last, [1, V], { scope }), { axis: 1 }).data();
      grown.push(best);
    }
    this.#comparer.compare(
      `${name}.generated_tokens`,
      Float32Array.from(grown.slice(ids.length)),
      await this.#file.f32(`${name}.generated_tokens`),
    );
    this.#comparer.compare(
      `${name}.generated_logits`,
      logits,
      await this.#file.f32(`${name}.generated_logits`),
    );
  }
}

/**
 * Replays a file of the kind `vila-hd-train`: losses and gradients of a batch that trains looking alone, and of one with answers.
 *
 * @throws VerifyError for a file without what its kind has
 */
export async function verifyVilaTraining(
  engine: Engine,
  file: SafetensorsFile,
  relative: number,
): Promise<readonly Comparison[]> {
  const comparer = new Comparer(file, relative);
  using all = engine.scope();
  const images = await vilaImages(engine, file, all);
  for (const name of ['grounding', 'qa']) {
    using model = await vilaOf(engine, file);
    using scope = engine.scope();
    const { language, parameters } = model;
    language.parameters.enableGradients();
    parameters.enableGradients();
    const numbers = async (what: string): Promise<number[]> => Array.from(await file.f32(`${name}.${what}`));
    const [B, T] = file.tensors.get(`${name}.input_ids`)!.shape;
    const [ids, labels, mask] = [
      await numbers('input_ids'),
      await numbers('labels'),
      await numbers('attention_mask'),
    ];
    const samples = Array.from({ length: B }, (_, b) => {
      const length = mask.slice(b * T, (b + 1) * T).filter((on) => on > 0).length;
      const row = (values: number[]): number[] => values.slice(b * T, b * T + length);
      return { ids: row(ids), labels: row(labels) };
    });
    const own = (await numbers('image_index')).map((i) =>
      slice(images.in(scope), { axis: 0, start: i, length: 1 }),
    );
    const image = concat(own, { axis: 0 });
    using seen = model.glance(image);
    const side = image.shape[2];
    const edges = await numbers('boxes');
    const box = engine.empty([B, side, side], { scope });
    const maps = Array.from({ length: B }, (_, b) =>
      rasteriseBoxes([edges.slice(4 * b, 4 * b + 4) as Box], side),
    );
    box.write(Float32Array.from(maps.flatMap((map) => [...map])));
    const loss = await vilaLoss(model, seen, samples, {
      box,
      selection: setting<number>(file, 'token_selection_loss_weight'),
    });
    const check = (what: string, tensor: Tensor<'f32'>): Promise<void> =>
      comparer.check(`${name}.${what}`, tensor);
    await check('prompt', loss.prompt!);
    const looked = loss.look.vision!;
    for (const [i, probs] of looked.maps.probs.entries()) {
      await check(`selection_probs.${i}`, probs);
      await check(`selection_maps.${i}`, looked.selectionMaps[i]);
    }
    await check('ce_loss', loss.answers);
    await check('selection_bce', loss.entropy!);
    await check('selection_dice', loss.dice!);
    await check('selection_loss', add(loss.entropy!, loss.dice!));
    await check('total_loss', loss.total);
    backward(loss.total);
    const gradients = async (part: string, key: string, gradient: Tensor<'f32'>): Promise<void> => {
      const full = `grad.${name}.${part}.${key}`;
      if (file.tensors.has(full)) return comparer.check(full, gradient);
      // What is missing is zero.
      const values = await gradient.data();
      comparer.compare(full, values, new Float32Array(values.length));
    };
    for (const [key, { parameter, start, shape }] of storedParts(language.config)) {
      using rows = language.parameters.get(parameter).grad!.view(start, shape);
      await gradients('llm', key, rows as Tensor<'f32'>);
    }
    for (const key of parameters.names) {
      const part = key.startsWith('vision_model.') ? 'vision_tower' : 'mm_projector';
      await gradients(part, key, parameters.get(key).grad!);
    }
  }
  return comparer.comparisons;
}
