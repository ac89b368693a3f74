// One optimizer step of a stage in its phases, recorded once and replayed: the same bits as calling it, without its JavaScript.
import {
  type AdamW,
  add,
  type Capture,
  concat,
  type Engine,
  mul,
  noGrad,
  type Scope,
  type Tensor,
  zerosLike,
} from '../../engine/index.ts';
import { total } from '../model/config/config.ts';
import type { PS3 } from '../model/ps3.ts';
import { SINGLE, type Transport } from '../ranks/transport.ts';
import { type HostBatch, upload } from './batches.ts';
import { type ReduceDType, sumGradients, sumScalars } from './exchange.ts';
import {
  contrast,
  descend,
  descendWhole,
  type Objective,
  type PartSeeds,
  partsOf,
  type Tensors,
  totalLoss,
} from './phases.ts';
import { RingContrast } from './ring_contrast.ts';

/** How a step is made, beside what it descends. */
export interface StepOptions {
  /** The scale of the logits is kept within 1 and this; default 100. */
  readonly maxLogitScale?: number;
  /** Parts of a batch that go through the model one after another: memory for time, the same gradients. Default 1. */
  readonly accumulate?: number;
  /** Ranks that take the step together, each with its part of the batch; default: this process alone. */
  readonly transport?: Transport;
  /** As what gradients are summed over ranks; default f32. */
  readonly reduce?: ReduceDType;
}

/** A step that is recorded. */
export interface Stepped {
  /**
   * Once they are read: the losses by name, the global norm of the gradients before clipping, and the factor on the cosines
   * and what is added to them as the step leaves them.
   */
  readonly values: Promise<Record<string, number>>;
}

/** What takes the steps of a stage. */
export interface Stepper<B extends Tensors<B>> extends Disposable {
  /** Floating-point operations of the last step. */
  readonly flops: number;
  /** Takes one step on a batch. @param step  its number in the stage, from 0 */
  run(host: HostBatch<B>, step: number): Promise<Stepped>;
  /** The first kernel that writes a NaN or an infinity for a batch; undefined where every number is finite. */
  firstNonFinite(host: HostBatch<B>): Promise<string | undefined>;
}

/** Features of one part, [b, E] each. */
type Features = Pick<PartSeeds, 'images' | 'texts'>;

/** Forward, backward and update of a model on batches of one objective. */
export class TrainingStep<B extends Tensors<B>> implements Stepper<B> {
  readonly #engine: Engine;
  readonly #model: PS3;
  readonly #objective: Pick<Objective<B>, 'embed' | 'weights' | 'counted'>;
  /** Lives as long as the step: everything that its captures read or add to. */
  readonly #scope: Scope;
  /** What a part reads, by name. */
  readonly #inputs: readonly (readonly [keyof B, Tensor])[];
  /** [B] of the whole batch. */
  readonly #classes: Tensor | undefined;
  /** Of every part. */
  readonly #features: readonly Features[];
  readonly #seeds: PartSeeds;
  /** Cut in two: embeds a part, then goes backward from the seeds. */
  readonly #part: Capture<{ imageFeatures: Tensor; textFeatures: Tensor }>;
  /** The loss, then the gradients of the images, then those of the texts, part by part. */
  readonly #contrast: Capture<Tensor[]>;
  /** What other ranks bring; undefined where there are none. */
  readonly #ring: RingContrast | undefined;
  readonly #transport: Transport;
  readonly #reduce: ReduceDType;
  /** [1] each: the contrastive loss and the others, of this rank before they are summed. */
  readonly #losses: readonly Tensor<'f32'>[];
  readonly #update: Capture<Tensor>;
  /** What the numbers that a step leaves are called. */
  #names: readonly string[] = [];

  /**
   * Records the step; nothing of the model changes yet.
   *
   * @param host       a batch of the shapes that all have; of several ranks, this one's part
   * @param optimizer  of the model's parameters
   */
  constructor(
    engine: Engine,
    model: PS3,
    objective: Pick<Objective<B>, 'embed' | 'weights' | 'counted'>,
    host: HostBatch<B>,
    optimizer: AdamW,
    { maxLogitScale, accumulate = 1, transport = SINGLE, reduce = 'f32' }: StepOptions = {},
  ) {
    this.#engine = engine;
    this.#model = model;
    this.#transport = transport;
    this.#reduce = reduce;
    this.#objective = objective;
    const scope = engine.scope();
    this.#scope = scope;
    const first = upload(engine, partsOf(host, accumulate)[0], scope);
    this.#classes = host.classes && engine.empty(host.classes.shape, { dtype: 'u32', scope });
    const names = (Object.keys(first) as (keyof B)[]).filter((name) => name !== 'classes');
    const inputs = names.flatMap((name) => (first[name] ? [[name, first[name]] as const] : []));
    this.#inputs = inputs;
    // Crops are compared too where a batch has some besides its images.
    const compared = host.classes ? host.classes.shape[0] / accumulate : inputs[0][1].shape[0];
    const shape = [compared, model.config.text.outputDim];
    const zeros = (): Features => ({
      images: engine.zeros(shape, { scope }),
      texts: engine.zeros(shape, { scope }),
    });
    this.#features = Array.from({ length: accumulate }, zeros);
    const seeds = { ...zeros(), share: engine.zeros([1], { scope }) };
    this.#seeds = seeds;
    const { weights } = objective;
    const { lossScale } = optimizer;
    const own = Object.keys(weights).map((name) => [name, engine.zeros([1], { scope })] as const);

    this.#part = engine.capture(
      function* (...tensors) {
        const batch = { ...first, ...Object.fromEntries(inputs.map(([name], i) => [name, tensors[i]])) };
        const embedded = objective.embed(batch);
        yield;
        descend(embedded, weights, seeds, lossScale);
        noGrad(() => {
          for (const [name, sum] of own) sum.write(add(sum, mul(embedded.own[name], seeds.share)));
        });
        const { imageFeatures, textFeatures } = embedded;
        return { imageFeatures, textFeatures };
      },
      ...inputs.map(([, tensor]) => tensor),
    );
    const divisor = shape[0] * accumulate * transport.size;
    this.#contrast = engine.capture(
      (...tensors) => {
        const [images, texts] = [tensors.slice(0, accumulate), tensors.slice(accumulate, 2 * accumulate)];
        return contrast(model, images, texts, { positives: tensors.at(2 * accumulate), divisor }, lossScale);
      },
      ...this.#features.map(({ images }) => images),
      ...this.#features.map(({ texts }) => texts),
      ...(this.#classes ? [this.#classes] : []),
    );
    const features = {
      images: this.#features.map(({ images }) => images),
      texts: this.#features.map(({ texts }) => texts),
      classes: this.#classes,
    };
    const contrasted = this.#contrast.outputs;
    this.#ring =
      transport.size > 1
        ? new RingContrast(engine, model, transport, features, contrasted, divisor, lossScale)
        : undefined;
    this.#losses = [contrasted[0] as Tensor<'f32'>, ...own.map(([, sum]) => sum)];
    this.#update = engine.capture(
      (contrastive, ...sums) => {
        optimizer.step();
        model.clampLogitScale(maxLogitScale);
        optimizer.updateAverages();
        const { gradNormSquared } = optimizer;
        const { logitScale, logitBias } = model;
        const losses = Object.fromEntries(own.map(([name], i) => [name, sums[i]]));
        const loss = noGrad(() => totalLoss(contrastive, losses, weights));
        const parts = own.length > 0 ? { contrastive, ...losses } : {};
        const scale = lossScale && { lossScale };
        const left = { loss, ...parts, gradNormSquared, logitScale, logitBias, ...scale };
        this.#names = Object.keys(left);
        // Joined, for one copy to the host.
        const joined = noGrad(() => concat(Object.values(left)));
        for (const sum of sums) sum.write(zerosLike(sum));
        return joined;
      },
      ...this.#losses,
    );
  }

  /** Floating-point operations of a step; those of a part that is embedded twice count once. */
  get flops(): number {
    return this.#features.length * this.#part.flops + this.#contrast.flops + this.#update.flops;
  }

  /** Takes one step on a batch. */
  async run(host: HostBatch<B>): Promise<Stepped> {
    const parts = partsOf(host, this.#features.length);
    const counts = parts.map((part) => this.#objective.counted(part));
    const sum = Float32Array.of(total(counts));
    await this.#transport.allReduce(sum);
    const [counted] = sum;
    if (host.classes) this.#classes?.write(host.classes.data);
    for (const [i, { images, texts }] of this.#features.entries()) {
      this.#embed(parts[i]);
      images.write(this.#part.outputs.imageFeatures);
      texts.write(this.#part.outputs.textFeatures);
    }
    this.#contrast.replay();
    await this.#ring?.run();
    const [, ...gradients] = this.#contrast.outputs;
    const { images, texts, share } = this.#seeds;
    // What the last part saved for its way backward is still there; the others are embedded again.
    for (let i = parts.length - 1; i >= 0; i--) {
      if (i + 1 < parts.length) this.#embed(parts[i]);
      share.write(Float32Array.of(counted === 0 ? 0 : counts[i] / counted));
      images.write(gradients[i]);
      texts.write(gradients[parts.length + i]);
      this.#part.replay(1);
    }
    await sumScalars(this.#transport, this.#losses);
    await sumGradients(this.#engine, this.#transport, this.#model.parameters, this.#reduce);
    this.#update.replay();
    return { values: this.#read() };
  }

  #embed(part: HostBatch<B>): void {
    for (const [name, input] of this.#inputs) input.write(part[name].data);
    this.#part.replay(0);
  }

  /** Begins at once to read what the step leaves. */
  async #read(): Promise<Record<string, number>> {
    const numbers = await this.#update.outputs.data();
    const values = Object.fromEntries(this.#names.map((name, i) => [name, numbers[i]]));
    const { gradNormSquared, logitScale, ...others } = values;
    return { ...others, gradNorm: Math.sqrt(gradNormSquared), logitScale: Math.exp(logitScale) };
  }

  /**
   * Goes through a batch once more, part by part and kernel by kernel, without an update: the first kernel that writes a NaN
   * or an infinity.
   *
   * @returns  its entry point, such as `softmax`; undefined where every number is finite
   */
  async firstNonFinite(host: HostBatch<B>): Promise<string | undefined> {
    this.#engine.watchNonFinite();
    for (const part of partsOf(host, this.#features.length)) {
      using scope = this.#engine.scope();
      descendWhole(this.#model, this.#objective, upload(this.#engine, part, scope));
    }
    const found = await this.#engine.firstNonFinite();
    this.#model.parameters.zeroGradients();
    return found?.kernel;
  }

  /** Frees what the step holds between its runs. */
  [Symbol.dispose](): void {
    this.#ring?.[Symbol.dispose]();
    for (const capture of [this.#part, this.#contrast, this.#update]) capture.dispose();
    this.#scope.dispose();
  }
}
