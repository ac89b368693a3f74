// Names, shapes and initial values of a model's parameters, under the official checkpoint names.
import { type ParameterSpec, type ParameterStore, Random, size } from '../../../engine/index.ts';
import { type ModelConfig, residualSide, type TextConfig, type VisionConfig } from '../config/config.ts';

/** How a parameter starts. */
type Initial =
  | { readonly kind: 'constant'; readonly value: number }
  /** N(0, std^2). */
  | { readonly kind: 'normal'; readonly std: number }
  /** Sines and cosines of rows and columns, of mean square std^2, over a square of places. */
  | { readonly kind: 'waves'; readonly std: number }
  /** Uniform in [-bound, bound]. */
  | { readonly kind: 'uniform'; readonly bound: number };

export interface ParameterPlan {
  readonly shape: readonly number[];
  readonly initial: Initial;
}

/** Start of the auxiliary blocks' LayerScale: 1e-6 is for long runs; small models learn from 0.1. */
export interface InitOptions {
  /** Start of the factors on residual branches. */
  readonly layerScale?: number;
  /** Standard deviation of the position residuals; 0 in long runs. */
  readonly positionResidualStd?: number;
  /** Start of logit_scale (a logarithm) and logit_bias; SigLIP's from-scratch values by default. */
  readonly logitScale?: number;
  /** Start of logit_bias; SigLIP's from-scratch value by default. */
  readonly logitBias?: number;
}

/** Puts a plan together, layer by layer. */
export class Plan {
  readonly parameters: Map<string, ParameterPlan> = new Map();

  put(name: string, shape: readonly number[], initial: Initial): void {
    this.parameters.set(name, { shape, initial });
  }

  constant(name: string, shape: readonly number[], value: number): void {
    this.put(name, shape, { kind: 'constant', value });
  }

  /** Xavier-uniform weight and zero bias, as in the towers. */
  towerLinear(name: string, outputs: number, inputs: number): void {
    this.put(`${name}.weight`, [outputs, inputs], {
      kind: 'uniform',
      bound: Math.sqrt(6 / (inputs + outputs)),
    });
    this.constant(`${name}.bias`, [outputs], 0);
  }

  /** PyTorch's default: weight and bias uniform within 1 / sqrt(inputs). */
  defaultLinear(name: string, shape: readonly number[]): void {
    const inputs = size(shape.slice(1));
    const initial: Initial = { kind: 'uniform', bound: 1 / Math.sqrt(inputs) };
    this.put(`${name}.weight`, shape, initial);
    this.put(`${name}.bias`, [shape[0]], initial);
  }

  norm(name: string, width: number): void {
    this.constant(`${name}.weight`, [width], 1);
    this.constant(`${name}.bias`, [width], 0);
  }
}

/** Every parameter of a model, in checkpoint order. */
export function planParameters(config: ModelConfig, options: InitOptions = {}): Map<string, ParameterPlan> {
  const plan = new Plan();
  planVision(plan, config.vision, options);
  planText(plan, config.text);
  plan.constant('logit_scale', [1], options.logitScale ?? Math.log(10));
  plan.constant('logit_bias', [1], options.logitBias ?? -10);
  return plan.parameters;
}

/** The parameters of the image side, below `vision_model.`. */
export function planVision(plan: Plan, config: VisionConfig, options: InitOptions = {}): void {
  const { width, patchPx, scalesPx, attnPool, adapter, auxEncoder } = config;
  const S = scalesPx.length - 1;
  const root = 'vision_model.';
  const trunk = `${root}trunk.`;
  plan.put(`${root}prior_prompt`, [width], { kind: 'normal', std: 1 });
  plan.put(`${trunk}pos_embed`, [1, config.posGridSide ** 2, width], { kind: 'normal', std: 0.02 });
  plan.defaultLinear(`${trunk}patch_embed.proj`, [width, 3, patchPx, patchPx]);
  for (let i = 0; i < config.depth; i++) {
    const block = `${trunk}blocks.${i}.`;
    plan.norm(`${block}norm1`, width);
    plan.towerLinear(`${block}attn.qkv`, 3 * width, width);
    plan.towerLinear(`${block}attn.proj`, width, width);
    plan.norm(`${block}norm2`, width);
    plan.towerLinear(`${block}mlp.fc1`, config.mlpHidden, width);
    plan.towerLinear(`${block}mlp.fc2`, width, config.mlpHidden);
  }
  if (config.hasFinalNorm) plan.norm(`${trunk}norm`, width);
  if (adapter) {
    const { hiddenWidth, outputWidth, innerBlocks } = adapter;
    const name = `${trunk}siglip_proj.`;
    plan.defaultLinear(`${name}fc1`, [hiddenWidth, width]);
    for (let i = 0; i < innerBlocks; i++) {
      plan.norm(`${name}blocks.${i}.0`, hiddenWidth);
      plan.defaultLinear(`${name}blocks.${i}.2`, [hiddenWidth, hiddenWidth]);
    }
    plan.norm(`${name}final.0`, hiddenWidth);
    plan.defaultLinear(`${name}final.2`, [outputWidth, hiddenWidth]);
  }
  const pool = `${trunk}attn_pool.`;
  const E = attnPool.width;
  plan.put(`${pool}latent`, [1, 1, E], { kind: 'normal', std: 1 / Math.sqrt(E) });
  plan.towerLinear(`${pool}q`, E, E);
  plan.towerLinear(`${pool}kv`, 2 * E, E);
  plan.towerLinear(`${pool}proj`, E, E);
  plan.norm(`${pool}norm`, E);
  plan.towerLinear(`${pool}mlp.fc1`, attnPool.mlpHidden, E);
  plan.towerLinear(`${pool}mlp.fc2`, E, attnPool.mlpHidden);

  const tapped = config.selectionLayers.length * width;
  plan.defaultLinear(`${root}selection_feature_proj.fc1`, [tapped, tapped]);
  plan.norm(`${root}selection_feature_proj.norm`, tapped);
  plan.defaultLinear(`${root}selection_feature_proj.fc2`, [S * width, tapped]);
  if (config.separatePosEmb)
    for (let i = 1; i <= S; i++) {
      const std = options.positionResidualStd ?? 0;
      const kind = config.tiedPositions ? 'waves' : 'normal';
      const initial: Initial = std === 0 ? { kind: 'constant', value: 0 } : { kind, std };
      plan.put(`${root}pos_emb_residual.${i - 1}`, [1, residualSide(config, i) ** 2, width], initial);
    }
  if (!auxEncoder) return;
  const { hiddenWidth, outChannels, kernelPx, depth } = auxEncoder;
  const aux = `${root}highres_selection_feature_module.`;
  plan.defaultLinear(`${aux}stem.0`, [hiddenWidth, 3, kernelPx, kernelPx]);
  plan.norm(`${aux}stem.1`, hiddenWidth);
  for (let i = 0; i < depth; i++) {
    const block = `${aux}blocks.${i}.`;
    plan.constant(`${block}weight`, [hiddenWidth], options.layerScale ?? 1e-6);
    plan.defaultLinear(`${block}conv_dw`, [hiddenWidth, 1, 7, 7]);
    plan.norm(`${block}norm`, hiddenWidth);
    plan.defaultLinear(`${block}mlp.fc1`, [4 * hiddenWidth, hiddenWidth]);
    plan.defaultLinear(`${block}mlp.fc2`, [hiddenWidth, 4 * hiddenWidth]);
  }
  plan.defaultLinear(`${aux}out_proj`, [outChannels, hiddenWidth, 1, 1]);
  plan.defaultLinear(`${root}prompt_proj_for_highres`, [S * outChannels, width]);
}

function planText(plan: Plan, config: TextConfig): void {
  const { width, mlpHidden, outputDim, promptProjDim } = config;
  const root = 'text_model.';
  plan.put(`${root}token_embedding.weight`, [config.vocabSize, width], { kind: 'normal', std: 0.02 });
  plan.put(`${root}positional_embedding`, [config.contextLength, width], { kind: 'normal', std: 0.01 });
  for (let i = 0; i < config.layers; i++) {
    const block = `${root}transformer.resblocks.${i}.`;
    plan.norm(`${block}ln_1`, width);
    plan.put(`${block}attn.in_proj_weight`, [3 * width, width], {
      kind: 'uniform',
      bound: Math.sqrt(6 / (4 * width)),
    });
    plan.constant(`${block}attn.in_proj_bias`, [3 * width], 0);
    plan.towerLinear(`${block}attn.out_proj`, width, width);
    plan.norm(`${block}ln_2`, width);
    plan.towerLinear(`${block}mlp.c_fc`, mlpHidden, width);
    plan.towerLinear(`${block}mlp.c_proj`, width, mlpHidden);
  }
  plan.norm(`${root}ln_final`, width);
  plan.towerLinear(`${root}text_projection`, outputDim, width);
  plan.defaultLinear(`${root}prompt_proj.fc1`, [promptProjDim, outputDim]);
  plan.norm(`${root}prompt_proj.norm`, promptProjDim);
  plan.defaultLinear(`${root}prompt_proj.fc2`, [promptProjDim, promptProjDim]);
}

/** Whether a parameter starts as it is allocated. */
function startsAsZero({ initial }: ParameterPlan): boolean {
  return initial.kind === 'constant' && initial.value === 0;
}

/**
 * Draws first values into zeroed parameters; each has numbers of its own, whichever others are drawn.
 *
 * @param plan     in checkpoint order
 * @param isDrawn  others stay as they are; default: all are drawn
 */
export function drawParameters(
  parameters: ParameterStore,
  plan: Iterable<readonly [name: string, parameter: ParameterPlan]>,
  seed: number,
  isDrawn: (name: string) => boolean = () => true,
): void {
  let stream = 0;
  for (const [name, parameter] of plan) {
    stream++;
    // The largest tables start as zero: nothing of their size is made here.
    if (isDrawn(name) && !startsAsZero(parameter))
      parameters.get(name).write(draw(parameter, new Random(seed, stream)));
  }
}

/** What a store makes room for; optimizer groups are 0 for matrices and tables, 1 for vectors, which are usually not decayed. */
export function specOf(
  name: string,
  shape: readonly number[],
  dtype: ParameterSpec['dtype'],
  isLocked: ((name: string) => boolean) | undefined,
): ParameterSpec {
  return { name, shape, dtype, isLocked: isLocked?.(name), group: shape.length >= 2 ? 0 : 1 };
}

/** Draws a parameter's first values. */
function draw({ shape, initial }: ParameterPlan, random: Random): Float32Array {
  const n = size(shape);
  if (initial.kind === 'constant') return new Float32Array(n).fill(initial.value);
  if (initial.kind === 'waves') return waves(Math.sqrt(shape[1]), shape[2], initial.std);
  return Float32Array.from({ length: n }, () =>
    initial.kind === 'normal' ? initial.std * random.normal() : initial.bound * (2 * random.uniform() - 1),
  );
}

/**
 * A table that tells places of a square apart, so that a small model does not begin with a bag of patches.
 *
 *   table[y, x] = std sqrt(2) [sin a_k(x), cos a_k(x), sin a_k(y), cos a_k(y)],  a_k(x) = 2 pi f_k (x + 1/2) / side
 *
 * with frequencies f_k from half a wave a side to one for every two places, in equal ratios.
 *
 * @returns  [side², C]; numbers beyond a multiple of four are zero
 */
function waves(side: number, C: number, std: number): Float32Array {
  const table = new Float32Array(side * side * C);
  const count = Math.floor(C / 4);
  for (let k = 0; k < count; k++) {
    const frequency = 0.5 * side ** (k / Math.max(1, count - 1));
    for (let place = 0; place < side * side; place++)
      for (const [axis, at] of [place % side, Math.floor(place / side)].entries()) {
        const angle = (2 * Math.PI * frequency * (at + 0.5)) / side;
        const o = place * C + 4 * k + 2 * axis;
        table[o] = std * Math.SQRT2 * Math.sin(angle);
        table[o + 1] = std * Math.SQRT2 * Math.cos(angle);
      }
  }
  return table;
}
