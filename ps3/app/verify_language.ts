// Replays a language model of a reference file: prefill, its keys and values, greedy decoding, left padding, gradients.
import {
  argMax,
  backward,
  type Engine,
  linear,
  type SafetensorsFile,
  type Scope,
  slice,
  type Tensor,
} from '../../engine/index.ts';
import { fillLanguage } from '../language/checkpoint.ts';
import { parseLanguageConfig } from '../language/config.ts';
import { Decoding } from '../language/decoding.ts';
import { LanguageModel } from '../language/language_model.ts';
import { storedParts } from '../language/parameters.ts';
import { Comparer, type Comparison, VerifyError } from './comparison.ts';

/**
 * Replays a file of the kind `qwen2`.
 *
 * @param relative  how far a tensor may be off, as a part of its largest magnitude; a gradient ten times as far
 * @throws VerifyError for a file without what its kind has
 */
export async function verifyLanguage(
  engine: Engine,
  file: SafetensorsFile,
  relative: number,
): Promise<readonly Comparison[]> {
  const { llm_config } = file.metadata;
  if (llm_config === undefined)
    throw new VerifyError(
      `verify: the metadata must have llm_config, got ${Object.keys(file.metadata).join(', ')}.`,
    );
  const config = parseLanguageConfig(JSON.parse(llm_config));
  using model = LanguageModel.allocate(engine, config);
  await fillLanguage(model.parameters, storedParts(config), [file], { prefix: 'weights.' });
  const replay = new Replay(engine, file, model, new Comparer(file, relative, 10 * relative));
  await replay.prefill();
  await replay.decode();
  await replay.leftPadded();
  await replay.training();
  return replay.comparer.comparisons;
}

class Replay {
  readonly comparer: Comparer;
  readonly #engine: Engine;
  readonly #file: SafetensorsFile;
  readonly #model: LanguageModel;

  constructor(engine: Engine, file: SafetensorsFile, model: LanguageModel, comparer: Comparer) {
    this.comparer = comparer;
    this.#engine = engine;
    this.#file = file;
    this.#model = model;
  }

  /** The padded batch: hidden states, logits, and the keys and values of row 0. */
  async prefill(): Promise<void> {
    using scope = this.#engine.scope();
    const ids = await this.#ids('in.input_ids', scope);
    const lengths = await this.#lengths();
    const model = this.#model;
    const { layers } = model.config;
    const hidden: Tensor<'f32'>[] = [];
    const packed: Tensor<'f32'>[] = [];
    const onLayer = (h: Tensor<'f32'>, qkv: Tensor<'f32'>): void => {
      hidden.push(h.in(scope));
      packed.push(qkv.in(scope));
    };
    hidden.push(model.decode(model.embed(ids), { onLayer }));
    for (let i = 0; i <= layers; i++) await this.#checkRows(`prefill.hidden.${i}`, hidden[i], lengths);
    for (let i = 0; i < layers; i++) await this.#checkCache(`prefill.cache.${i}`, packed[i], lengths[0]);
    await this.#checkRows('prefill.logits', model.forward(ids), lengths);
  }

  /** Each row alone, greedily: everything computed anew for each token, with a cache, and with the step captured. */
  async decode(): Promise<void> {
    const rows = await this.#rows();
    for (const [b, row] of rows.entries()) {
      const name = `decode.${b}`;
      if (!this.#file.tensors.has(`${name}.tokens`)) continue;
      const steps = this.#file.tensors.get(`${name}.tokens`)!.shape[0];
      await this.#checkSteps(name, [row], steps, 0);
      await this.#checkCached(name, row, steps);
      await this.#checkCaptured(name, row, steps);
    }
  }

  async #checkCached(name: string, row: readonly number[], steps: number): Promise<void> {
    const { config, head } = this.#model;
    using cache = this.#model.newCache({ length: row.length + steps });
    const kept = new Steps(steps, config.vocabSize);
    let ids = [...row];
    while (kept.tokens.length < steps) {
      using scope = this.#engine.scope();
      const x = this.#model.embed(this.#engine.tensor(Uint32Array.from(ids), [1, ids.length], { scope }));
      const h = slice(this.#model.decode(x, { cache }), { axis: 1, start: ids.length - 1, length: 1 });
      const logits = linear(h, head);
      ids = [kept.add(await logits.data(), (await argMax(logits).data())[0])];
    }
    await this.#compareSteps(name, kept, 'cached');
  }

  async #checkCaptured(name: string, row: readonly number[], steps: number): Promise<void> {
    using scope = this.#engine.scope();
    const ids = this.#engine.tensor(Uint32Array.from(row), [1, row.length], { scope });
    using decoding = new Decoding(this.#model, this.#model.embed(ids), [row.length], row.length + steps);
    const kept = new Steps(steps, this.#model.config.vocabSize);
    for (;;) {
      kept.add(await decoding.logits.data(), (await decoding.tokens.data())[0]);
      if (kept.tokens.length === steps) break;
      decoding.advance();
    }
    await this.#compareSteps(name, kept, 'captured');
  }

  async #compareSteps(name: string, { tokens, logits }: Steps, how: string): Promise<void> {
    await this.#compare(`${name}.tokens`, Float32Array.from(tokens), ` ${how}`);
    await this.#compare(`${name}.logits`, logits, ` ${how}`);
  }

  /** All rows as a batch, padded on the left. */
  async leftPadded(): Promise<void> {
    if (!this.#file.tensors.has('left.tokens')) return;
    const rows = await this.#rows();
    const longest = Math.max(...rows.map((row) => row.length));
    await this.#checkSteps('left', rows, this.#file.tensors.get('left.tokens')!.shape[1], longest);
  }

  /** Greedy steps of rows padded on the left to `width`, compared with NAME.tokens and NAME.logits. */
  async #checkSteps(name: string, rows: readonly number[][], steps: number, width: number): Promise<void> {
    const V = this.#model.config.vocabSize;
    const grown = rows.map((row) => [...row]);
    const tokens = new Float32Array(rows.length * steps);
    const logits = new Float32Array(rows.length * steps * V);
    for (let step = 0; step < steps; step++) {
      using scope = this.#engine.scope();
      const T = Math.max(width + step, grown[0].length);
      const padding = grown.map((row) => T - row.length);
      const upload = (numbers: number[], shape: number[]): Tensor =>
        this.#engine.tensor(Int32Array.from(numbers), shape, { scope });
      const isPadded = padding.some((n) => n > 0);
      const ids = upload(
        grown.flatMap((row, b) => [...new Array<number>(padding[b]).fill(0), ...row]),
        [rows.length, T],
      );
      const mask = padding.flatMap((n) => Array.from({ length: T }, (_, t) => Number(t >= n)));
      const all = this.#model.forward(
        ids,
        isPadded
          ? {
              offset: upload(
                padding.map((n) => -n),
                [rows.length],
              ),
              keyMask: this.#engine.tensor(mask, [rows.length, T], { scope }),
            }
          : {},
      );
      const last = slice(all, { axis: 1, start: T - 1, length: 1 });
      const [values, best] = [await last.data(), await argMax(last, { axis: 2 }).data()];
      for (const [b, row] of grown.entries()) {
        logits.set(values.subarray(b * V, (b + 1) * V), (b * steps + step) * V);
        tokens[b * steps + step] = best[b];
        row.push(best[b]);
      }
    }
    await this.#compare(`${name}.tokens`, tokens);
    await this.#compare(`${name}.logits`, logits);
  }

  /** The loss and the gradient of every parameter. */
  async training(): Promise<void> {
    if (!this.#file.tensors.has('train.loss')) return;
    const { parameters } = this.#model;
    parameters.enableGradients();
    using scope = this.#engine.scope();
    const ids = await this.#ids('in.input_ids', scope);
    const loss = this.#model.loss(ids, await this.#ids('in.labels', scope));
    await this.comparer.check('train.loss', loss);
    backward(loss);
    for (const [name, { parameter, start, shape }] of storedParts(this.#model.config)) {
      using rows = parameters.get(parameter).grad!.view(start, shape);
      await this.comparer.check(`grad.${name}`, rows);
    }
  }

  /** Compares where rows are not padded; the reference is 0 elsewhere. */
  async #checkRows(name: string, tensor: Tensor<'f32'>, lengths: readonly number[]): Promise<void> {
    const [, T, C] = tensor.shape;
    const got = await tensor.data();
    for (const [b, length] of lengths.entries()) got.fill(0, (b * T + length) * C, (b + 1) * T * C);
    await this.#compare(name, got);
  }

  /** The reference keeps [2, G, N, K] of row 0; ours is packed [B, T, (H + 2G) K]. */
  async #checkCache(name: string, qkv: Tensor<'f32'>, length: number): Promise<void> {
    const { heads, kvHeads: G, headSize: K } = this.#model.config;
    const width = qkv.shape[2];
    const numbers = await qkv.data();
    const got = new Float32Array(2 * G * length * K);
    for (let head = 0; head < 2 * G; head++)
      for (let t = 0; t < length; t++) {
        const from = t * width + (heads + head) * K;
        got.set(numbers.subarray(from, from + K), (head * length + t) * K);
      }
    await this.#compare(name, got);
  }

  /** @param how  behind the name, where several ways come to one tensor */
  async #compare(name: string, got: Float32Array, how = ''): Promise<void> {
    if (this.#file.tensors.has(name)) this.comparer.compare(name + how, got, await this.#file.f32(name));
  }

  async #ids(name: string, scope: Scope): Promise<Tensor> {
    const entry = this.#file.tensors.get(name);
    if (!entry)
      throw new VerifyError(
        `verify: the file must hold ${name}, got ${this.#file.tensors.size} other tensors.`,
      );
    return this.#engine.tensor(Int32Array.from(await this.#file.f32(name)), entry.shape, { scope });
  }

  /** Tokens of each row that are no padding. */
  async #lengths(): Promise<number[]> {
    const mask = await this.#file.f32('in.attention_mask');
    const [B, T] = this.#file.tensors.get('in.attention_mask')!.shape;
    return Array.from({ length: B }, (_, b) =>
      mask.subarray(b * T, (b + 1) * T).reduce((n, on) => n + on, 0),
    );
  }

  async #rows(): Promise<number[][]> {
    const ids = await this.#file.f32('in.input_ids');
    const T = this.#file.tensors.get('in.input_ids')!.shape[1];
    const lengths = await this.#lengths();
    return lengths.map((length, b) => Array.from(ids.subarray(b * T, b * T + length)));
  }
}

/** Tokens of one text and the logits that each was chosen by. */
class Steps {
  readonly tokens: number[] = [];
  readonly logits: Float32Array;
  readonly #V: number;

  constructor(steps: number, V: number) {
    this.logits = new Float32Array(steps * V);
    this.#V = V;
  }

  /** @returns the token */
  add(logits: Float32Array, token: number): number {
    this.logits.set(logits, this.tokens.length * this.#V);
    this.tokens.push(token);
    return token;
  }
}
