// What an op file needs to allocate its results and to run its kernels.
import { UseError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Kernel } from '../gpu/kernel.ts';
import type { KernelCall } from '../gpu/launch.ts';
import { type KeyPart, memoized } from '../gpu/memo.ts';
import type { Shape } from './shape.ts';
import { type DType, Scope, Tensor } from './tensor.ts';

export interface OpCall extends KernelCall {
  readonly bind: Readonly<Record<string, Tensor | undefined>>;
}

/** The innermost scope among the tensors. */
export function scopeOf(tensors: readonly (Tensor | undefined)[]): Scope | undefined {
  let innermost: Scope | undefined;
  for (const tensor of tensors) {
    const scope = tensor?.scope;
    if (scope && (!innermost || scope.order > innermost.order)) innermost = scope;
  }
  return innermost;
}

/**
 * Allocates a result, contents undefined, in the innermost scope of the inputs.
 *
 * @throws UseError when the inputs live on different devices
 */
export function output(inputs: readonly (Tensor | undefined)[], shape: Shape): Tensor<'f32'>;
/** As above, of another dtype. */
export function output<D extends DType>(
  inputs: readonly (Tensor | undefined)[],
  shape: Shape,
  dtype: D,
): Tensor<D>;
export function output(inputs: readonly (Tensor | undefined)[], shape: Shape, dtype: DType = 'f32'): Tensor {
  let gpu: Gpu | undefined;
  for (const tensor of inputs) gpu = sameDevice(gpu, tensor);
  if (!gpu) throw new UseError('internal: output needs an input tensor.');
  return Tensor.empty(gpu, shape, dtype, scopeOf(inputs));
}

/** Where a tensor without inputs is made: where a tensor lives, or on the device of an engine, owned by the caller. */
export type Like = Tensor | { readonly gpu: Gpu };

/** A new tensor, contents undefined, on the device and in the scope of `like`. */
export function outputLike<D extends DType>(like: Like, shape: Shape, dtype: D): Tensor<D> {
  return Tensor.empty(like.gpu, shape, dtype, like instanceof Tensor ? like.scope : undefined);
}

/** The device of those before and of one more tensor. */
function sameDevice(gpu: Gpu | undefined, tensor: Tensor | undefined): Gpu | undefined {
  if (gpu && tensor && tensor.gpu !== gpu)
    throw new UseError('engine: all operands must live on one device, got two. Read one back and upload it.');
  return gpu ?? tensor?.gpu;
}

type Watcher = (kernel: Kernel, written: readonly Tensor[]) => void;

const watchers = new WeakMap<Gpu, Watcher>();

/** Has `watcher` see every kernel run on a device, with the tensors that it wrote; undefined ends it. */
export function watchRuns(gpu: Gpu, watcher: Watcher | undefined): void {
  if (watcher) watchers.set(gpu, watcher);
  else watchers.delete(gpu);
}

/** The device of all operands. */
function deviceOf(bind: OpCall['bind']): Gpu | undefined {
  let gpu: Gpu | undefined;
  for (const name in bind) gpu = sameDevice(gpu, bind[name]);
  return gpu;
}

/** Records one run of a kernel on tensors. @throws UseError when they live on different devices */
export function run(kernel: Kernel, call: OpCall): void {
  const gpu = deviceOf(call.bind);
  if (gpu) runOn(gpu, kernel, call.bind, call);
}

function runOn(gpu: Gpu, kernel: Kernel, bind: OpCall['bind'], call: KernelCall): void {
  gpu.run(kernel, bind, call);
  const watcher = watchers.get(gpu);
  if (!watcher) return;
  const { bindings } = kernel.reflection;
  watcher(
    kernel,
    bindings.flatMap(({ name, writable }) => (writable && bind[name] ? [bind[name]] : [])),
  );
}

/** A call with its kernel. */
export type PlannedCall = KernelCall & { readonly kernel: Kernel };

/**
 * Runs of kernels whose calls are worked out once for each key while shapes repeat: what a step records costs the host little.
 *
 * @param plan  the call for a device and a key; it must depend on nothing else
 * @returns     records one run on tensors; @throws UseError as `run` does
 */
export function planned<K extends readonly KeyPart[]>(
  plan: (gpu: Gpu, ...key: K) => PlannedCall,
): (bind: OpCall['bind'], ...key: K) => void {
  const callOf = memoized((gpu: Gpu, ...key: K) => {
    const call = plan(gpu, ...key);
    gpu.prepare(call.kernel, call);
    return call;
  });
  return (bind, ...key) => {
    const gpu = deviceOf(bind);
    if (!gpu) return;
    const call = callOf(gpu, ...key);
    runOn(gpu, call.kernel, bind, call);
  };
}

/** Records one run of an element-wise kernel, which imports `each`, over n values. @throws UseError as `run` does */
export function runEach(
  kernel: Kernel,
  call: Omit<OpCall, 'groups'> & { readonly params: { readonly n: number } },
): void {
  const gpu = deviceOf(call.bind);
  if (gpu)
    run(kernel, { ...call, groups: Math.ceil(call.params.n / kernel.workgroupSize / gpu.target.elements) });
}

/** Handles of tensors, each of its dtype. */
type Handles<I> = { -readonly [K in keyof I]: I[K] };

/**
 * Runs `fn` and frees what it made except its results. Gradients flow: what backward needs stays with the tape.
 *
 * @param inputs  tensors to work on, or undefined, which `fn` gets as such; the results live where these live
 */
export function tidy<
  I extends readonly (Tensor | undefined)[] | [],
  T extends Tensor | readonly Tensor[] | [],
>(inputs: I, fn: (...inputs: Handles<I>) => T): T {
  const outer = scopeOf(inputs);
  using inner = new Scope();
  const inside: readonly (Tensor | undefined)[] = inputs.map((tensor) => tensor?.in(inner));
  const result = fn(...(inside as Handles<I>));
  const results: readonly Tensor[] = result instanceof Tensor ? [result] : result;
  for (const tensor of results) tensor.moveTo(outer);
  return result;
}
