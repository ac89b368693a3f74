// Reverse-mode differentiation over the tape of tensor/autograd.ts.
import { expect, expectDType, expectKeys, expectTensor, UseError } from '../gpu/errors.ts';
import {
  currentPrecision,
  dropVariable,
  type Gradients,
  holdVariable,
  isRecording,
  type Node,
  nodesRecorded,
  noGrad,
  record,
  withGrad,
  withPrecision,
} from '../tensor/autograd.ts';
import { scopeOf } from '../tensor/dispatch.ts';
import { sameShape, show } from '../tensor/shape.ts';
import { Scope, Tensor, type Variable } from '../tensor/tensor.ts';
import { accumulate } from './broadcasting.ts';
import { fill } from './fill.ts';
import { add } from './pointwise.ts';

/**
 * Adds d loss / d leaf to the `grad` of every leaf that requires it, and frees what the forward had saved.
 *
 * @param loss          one element, or any shape with `seed`; or several such tensors, whose gradients are added
 * @param options.seed  gradient of the loss, in its shape; ones by default. Of several losses, one for each
 * @throws UseError when a loss has several elements and no seed, or depends on no leaf that requires a gradient
 */
export function backward(
  loss: Tensor | readonly Tensor[],
  options: { readonly seed?: Tensor<'f32'> | readonly (Tensor<'f32'> | undefined)[] } = {},
): void {
  expectKeys('backward', options, { seed: true });
  const losses = isList(loss) ? loss : [loss];
  expect(losses.length > 0, 'backward', 'there must be a loss', 'an empty list');
  const { seed } = options;
  const seeds = isList(seed) ? seed : [seed];
  const fits = seed === undefined || seeds.length === losses.length;
  expect(fits, 'backward', `there must be a seed for each of ${losses.length} losses`, `${seeds.length}`);
  for (const [i, one] of losses.entries()) expectRoot(one, seeds[i]);
  const pass = new BackwardPass();
  const before = running;
  running = pass;
  try {
    using scope = new Scope();
    const gradients = losses.map(
      ({ gpu, shape }, i) => seeds[i] ?? fill(Tensor.empty(gpu, shape, 'f32', scope), 1),
    );
    noGrad(() => {
      pass.walk(losses, gradients);
      pass.finishHooked();
    });
  } finally {
    running = before;
    pass.dispose();
  }
}

const isList = <T>(one: T | readonly T[]): one is readonly T[] => Array.isArray(one);

/** @throws UseError, ShapeError and DTypeError for a loss that cannot be differentiated */
function expectRoot(loss: Tensor, seed: Tensor | undefined): void {
  expectTensor('backward', 'loss', loss);
  if (seed !== undefined) expectDType('backward', 'seed', seed, 'f32');
  if (!loss.variable.node)
    throw new UseError('backward: the loss must depend on a tensor that requires a gradient.');
  if (loss.size !== 1 && !seed)
    throw new UseError(`backward: the loss must be a scalar, got ${show(loss.shape)}.`);
  const fits = !seed || sameShape(seed.shape, loss.shape);
  expect(fits, 'backward', 'the seed must have the shape of the loss', `${seed && show(seed.shape)}`);
  if (seed && seed.gpu !== loss.gpu)
    throw new UseError(
      "backward: the seed must live on the loss's device, got one of another. Upload it there.",
    );
}

/** The pass at hand: backward of a checkpoint goes on in it. */
let running: BackwardPass | undefined;

class BackwardPass {
  /** Gradients that are not complete yet, owned by the pass. */
  readonly #pending = new Map<Variable, Tensor<'f32'>>();

  /** Takes over `gradient` as (a part of) the gradient of `variable`. */
  put(variable: Variable, gradient: Tensor<'f32'>): void {
    const before = this.#pending.get(variable);
    if (!before) {
      this.#pending.set(variable, gradient);
      return;
    }
    if (before.storage.isShared) {
      this.#pending.set(variable, add(before, gradient));
      before.dispose();
    } else accumulate(before, gradient);
    gradient.dispose();
  }

  /** What an op may add to of the gradient of a variable: what it has so far, unless others see that. */
  #totalOf(variable: Variable): Tensor<'f32'> | undefined {
    if (!variable.requiresGrad) return undefined;
    if (isPlainLeaf(variable)) return variable.grad;
    const before = this.#pending.get(variable);
    return before?.storage.isShared ? undefined : before;
  }

  /**
   * Takes the gradients of outputs through the nodes recorded after node number `since`, and frees these.
   *
   * @param gradients  one per output, which stay the caller's
   */
  walk(outputs: readonly Tensor[], gradients: Gradients, since = 0): void {
    const roots = outputs.map(({ variable }) => holdVariable(variable));
    const nodes = reachable(
      roots.map(({ node }) => node),
      since,
    );
    try {
      roots.forEach((variable, i) => {
        const gradient = gradients[i];
        if (gradient && variable.requiresGrad) this.put(variable, gradient.alias());
      });
      for (const node of nodes) this.#step(node);
    } finally {
      for (const node of nodes) node.release();
      roots.forEach(dropVariable);
    }
  }

  /** Runs one node's backward in a scope of its own, which only the results leave. */
  #step(node: Node): void {
    using scope = new Scope();
    const gradients = node.outputs.map((variable) => this.#take(variable)?.moveTo(scope));
    if (!gradients.some((gradient) => gradient !== undefined)) return;
    const totals: (Tensor<'f32'> | undefined)[] = [];
    for (const i of node.addsTo) totals[i] = this.#totalOf(node.inputs[i]);
    const results = node.run(gradients, scope, totals);
    node.inputs.forEach((variable, i) => {
      const gradient = results[i];
      if (!gradient || gradient === totals[i] || !variable.requiresGrad) return;
      if (!isPlainLeaf(variable)) this.put(variable, gradient.alias());
      else addToLeaf(variable, gradient);
    });
  }

  /** Leaves with hooks wait for their whole gradient. */
  finishHooked(): void {
    for (const variable of [...this.#pending.keys()]) {
      using gradient = this.#take(variable)!;
      if (!variable.node) addToLeaf(variable, gradient);
    }
  }

  #take(variable: Variable): Tensor<'f32'> | undefined {
    let gradient = this.#pending.get(variable);
    this.#pending.delete(variable);
    if (!gradient) return undefined;
    for (const hook of variable.hooks) {
      const replaced = hook(gradient);
      if (!replaced || replaced === gradient) continue;
      gradient.dispose();
      gradient = replaced.keep();
    }
    return gradient;
  }

  dispose(): void {
    for (const gradient of this.#pending.values()) gradient.dispose();
  }
}

/** Whether gradients go to `grad` as they come: those of leaves with hooks wait until they are complete. */
const isPlainLeaf = ({ node, hooks }: Variable): boolean => !node && hooks.length === 0;

function addToLeaf(variable: Variable, gradient: Tensor<'f32'>): void {
  if (variable.grad) accumulate(variable.grad, gradient);
  else {
    // A copy: the storage of `gradient` may be shared with gradients of other tensors.
    variable.grad = Tensor.empty(gradient.gpu, gradient.shape, 'f32');
    gradient.gpu.copy(gradient.range, variable.grad.range);
  }
}

/** Every node that the roots depend on, among those recorded after node number `since`; newest first. */
function reachable(roots: readonly (Node | undefined)[], since = 0): Node[] {
  const seen = new Set<Node>();
  const visit = (node: Node | undefined): void => {
    if (!node || node.order <= since || seen.has(node)) return;
    seen.add(node);
    stack.push(node);
  };
  const stack: Node[] = [];
  roots.forEach(visit);
  for (let node = stack.pop(); node; node = stack.pop())
    for (const { node: input } of node.inputs) visit(input);
  return [...seen].sort((a, b) => b.order - a.order);
}

/**
 * Runs `fn` without keeping its intermediates, and runs it again during backward: memory for time, the same bits.
 *
 * @param fn      pure: same inputs, same result. Parameters it closes over get their gradients too
 * @param inputs  tensors that `fn` is called with; at least one must require a gradient for `fn` to be differentiated
 * @returns       what `fn` returns, a tensor or a list of them
 */
export function checkpoint<I extends readonly Tensor[], T extends Tensor | readonly Tensor[] | []>(
  fn: (...inputs: I) => T,
  ...inputs: I
): T {
  const outer = scopeOf(inputs);
  using inner = new Scope();
  const run = (handles: readonly Tensor[]): T => fn(...(handles as I));
  const made = noGrad(() => run(inputs.map((tensor) => tensor.alias().moveTo(inner))));
  const isOne = made instanceof Tensor;
  const outputs = listOf(made).map((tensor) => tensor.alias().moveTo(outer));
  const precision = currentPrecision();
  const variables = inputs.map(({ variable }) => variable);
  const saved = Object.fromEntries(inputs.map((tensor, i) => [`x${i}`, tensor]));
  if (isRecording())
    record('checkpoint', {
      inputs,
      outputs,
      saved,
      activations: Object.keys(saved),
      backward: (_dy, kept, _needs, gradients) => {
        // What runs again takes the place of this node: gradients are added up in the order that they have without it.
        const since = nodesRecorded();
        using scope = new Scope();
        const again = withPrecision('checkpoint', precision, () =>
          withGrad(() => run(variables.map((variable, i) => kept[`x${i}`].as(variable, scope)))),
        );
        running!.walk(listOf(again), gradients, since);
        return inputs.map(() => undefined);
      },
    });
  return (isOne ? outputs[0] : outputs) as T;
}

function listOf(made: Tensor | readonly Tensor[]): readonly Tensor[] {
  return made instanceof Tensor ? [made] : made;
}
