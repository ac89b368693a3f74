// The tape. An op that has run calls `record` with what its backward needs; ops/backward.ts walks the nodes.
import { UseError } from '../gpu/errors.ts';
import { type Packing, SavedTensor } from './saved_tensor.ts';
import type { Scope, Tensor, Variable } from './tensor.ts';

/** Gradients in the order of the tensors that they belong to; undefined where there is none. */
export type Gradients = readonly (Tensor<'f32'> | undefined)[];

/** One op on the tape. */
export interface Node {
  readonly name: string;
  /** Nodes are numbered as they are made; backward goes from high to low. */
  readonly order: number;
  readonly inputs: readonly Variable[];
  readonly outputs: readonly Variable[];
  /** The numbers of the inputs to whose gradients `run` may add in place. */
  readonly addsTo: readonly number[];
  /**
   * Gradients of the outputs in, gradients of the inputs out. What was saved moves into `scope` and goes with it.
   *
   * @param totals  the gradients so far that it may add to, by input
   */
  readonly run: (gradients: Gradients, scope: Scope, totals: Gradients) => Gradients;
  /** Releases the saved tensors and the inputs. */
  readonly release: () => void;
}

/** Tensors kept for backward, by name. */
export type Saved = Readonly<Record<string, Tensor | undefined>>;

/** What the tape keeps of a differentiable op. */
export interface OpRecord<S extends Saved, T extends Tensor = Tensor> {
  /** Tensors that may need a gradient. */
  readonly inputs: readonly (Tensor | undefined)[];
  /** What the op made; for several, `outputs`. */
  readonly output?: T;
  /** What the op made, where that is several tensors. */
  readonly outputs?: readonly T[];
  /**
   * Retained until backward has run or nobody can reach the output; passed to backward as detached handles.
   */
  readonly saved: S;
  /**
   * Those of `saved` that half precision is enough for, where `withSavedActivations` asks for it: large values that enter the
   * gradient as factors. Statistics, masks and what is compared are not among them.
   */
  readonly activations?: readonly (keyof S & string)[];
  /**
   * The numbers of inputs whose gradients backward can add to in place: that costs a kernel less, and for a large parameter a
   * second buffer of its size.
   */
  readonly addsTo?: readonly number[];
  /**
   * Gradients of the inputs, in their order, each in its input's shape; undefined where `needs` is false.
   * `dy` is the gradient of the first output that has one; `all` has one entry per output. `totals` holds, for inputs of
   * `addsTo`, the gradient so far where there is one: add to that, and return it.
   */
  readonly backward: (
    dy: Tensor<'f32'>,
    saved: S,
    needs: readonly boolean[],
    all: Gradients,
    totals: Gradients,
  ) => readonly (Tensor | undefined)[];
}

const isGradient = (x: Tensor | undefined): x is Tensor<'f32'> | undefined =>
  x === undefined || x.dtype === 'f32';

/** How ops compute, as the calls around them say. */
export interface Precision {
  /** How activations are kept for backward; undefined: as they are. */
  readonly packing?: Packing;
  /** How operands of matrix products are rounded; undefined: as the tier does. */
  readonly products?: ProductDType;
}

/** As what matrix products read their operands; sums are f32 always. */
export type ProductDType = 'f32' | 'f16';

/** Smaller tensors are not packed: a dispatch costs more than they do. */
const PACKED_FROM_BYTES = 1024;

const NONE: readonly number[] = [];

let enabled = true;
let precision: Precision = {};
let nodeCount = 0;

function withRecording<T>(on: boolean, name: string, fn: () => T): T {
  const before = enabled;
  enabled = on;
  try {
    const result = fn();
    if (result instanceof Promise)
      throw new UseError(`${name}: the function must be synchronous, got a promise.`);
    return result;
  } finally {
    enabled = before;
  }
}

/**
 * Runs `fn` without recording.
 *
 * @throws UseError when `fn` returns a promise: what runs after its first await would be recorded again
 */
export function noGrad<T>(fn: () => T): T {
  return withRecording(false, 'noGrad', fn);
}

/** Runs `fn` with recording on, also inside `noGrad`. @throws UseError when `fn` returns a promise */
export function withGrad<T>(fn: () => T): T {
  return withRecording(true, 'withGrad', fn);
}

export function isRecording(): boolean {
  return enabled;
}

/** Runs `fn`, whose ops compute as `change` says, and otherwise as they would have. */
export function withPrecision<T>(name: string, change: Precision, fn: () => T): T {
  const before = precision;
  precision = { ...before, ...change };
  try {
    return withRecording(enabled, name, fn);
  } finally {
    precision = before;
  }
}

/** How ops compute at the moment. */
export function currentPrecision(): Precision {
  return precision;
}

/** The number of the newest node. */
export function nodesRecorded(): number {
  return nodeCount;
}

/** A variable that no op made and that requires no gradient. */
export function leafVariable(requiresGrad = false): Variable {
  return { requiresGrad, node: undefined, references: 0, grad: undefined, ownsGrad: true, hooks: [] };
}

/** A handle or a node begins to refer to a variable. */
export function holdVariable(variable: Variable): Variable {
  variable.references++;
  return variable;
}

/**
 * A handle or a node no longer refers to a variable. An op whose results nobody can reach releases what it
 * saved.
 */
export function dropVariable(variable: Variable): void {
  variable.references--;
  const { node } = variable;
  if (node?.outputs.every(({ references }) => references === 0)) node.release();
}

/**
 * Makes what an op did differentiable: puts it on the tape if one of its inputs requires a gradient. Every op of the
 * engine ends with it, and so does a custom op.
 *
 * @param name  for messages
 * @returns     the (first) output
 * @throws UseError during backward, when its gradients are not as many or as large as the inputs
 */
export function record<S extends Saved, T extends Tensor>(name: string, op: OpRecord<S, T>): T {
  const outputs = op.outputs ?? [op.output!];
  if (!enabled || !op.inputs.some((tensor) => tensor?.requiresGrad)) return outputs[0];
  const kept: Record<string, SavedTensor | undefined> = {};
  for (const key in op.saved) {
    const tensor = op.saved[key];
    const packs =
      op.activations?.includes(key) && tensor?.dtype === 'f32' && tensor.sizeBytes >= PACKED_FROM_BYTES;
    kept[key] = tensor && new SavedTensor(tensor.alias(), packs ? precision.packing : undefined);
  }
  const sizes = op.inputs.map((tensor) => tensor?.size);
  const needs = op.inputs.map((tensor) => tensor?.requiresGrad ?? false);
  let done = false;
  let released = false;
  const node: Node = {
    name,
    order: ++nodeCount,
    inputs: op.inputs.map((tensor) => holdVariable(tensor?.variable ?? leafVariable())),
    outputs: outputs.map((tensor) => tensor.variable),
    addsTo: op.addsTo ?? NONE,
    run: (gradients, scope, totals) => {
      if (done)
        throw new UseError(`${name}: backward runs once per forward, got a second run. Record it again.`);
      done = true;
      const saved: Record<string, Tensor | undefined> = {};
      for (const key in kept) saved[key] = kept[key]?.take(scope);
      const first = gradients.find((gradient) => gradient !== undefined)!;
      const results = op.backward(gradients[0] ?? first, saved as S, needs, gradients, totals);
      const got = results.map((gradient) => gradient?.size);
      if (got.length !== sizes.length || got.some((count, i) => count !== undefined && count !== sizes[i]))
        throw new UseError(
          `${name}: backward must return the gradient of each input in its shape, got [${got}] elements for inputs of [${sizes}].`,
        );
      if (!results.every(isGradient))
        throw new UseError(
          `${name}: backward must return gradients in f32, got ${results.map((x) => x?.dtype)}.`,
        );
      return results;
    },
    release: () => {
      if (released) return;
      done = released = true;
      for (const key in kept) kept[key]?.dispose();
      for (const variable of node.inputs) dropVariable(variable);
    },
  };
  for (const { variable } of outputs) {
    variable.requiresGrad = true;
    variable.node = node;
  }
  return outputs[0];
}
