// A run of a kernel as ops ask for it, and what follows from it.
import type { BufferRange } from './buffer.ts';
import type { Launch } from './commands.ts';
import { ShapeError } from './errors.ts';
import type { Define, Kernel } from './kernel.ts';
import type { Pipelines } from './pipelines.ts';

/** Something whose bytes a kernel can bind. */
export interface Bindable {
  readonly range: BufferRange;
}

/** Operands by the names in the WGSL; undefined where an optional binding is unused. */
export type Bindings = Readonly<Record<string, Bindable | undefined>>;

/** A run of a kernel but for its operands. */
export interface KernelCall {
  readonly params?: Readonly<Record<string, number | readonly number[]>>;
  readonly define?: Define;
  /** Workgroups; a single number beyond 65,535 is folded into x and y. */
  readonly groups: number | readonly [number, number, number];
  /** Floating-point operations, for the profiler and the submission policy. */
  readonly flops?: number;
  /** Bytes read and written, where that is less than all bound ranges: a gather touches few rows of its table. */
  readonly bytes?: number;
}

const MAX_GROUPS = 65_535;
const NO_PARAMS = {};
const NO_WORDS = new Uint32Array(0);

/** @throws ShapeError when a grid dimension has more workgroups than WebGPU allows */
export function launchOf(
  pipelines: Pipelines,
  kernel: Kernel,
  { params, define, groups, flops = 0, bytes }: KernelCall,
): Launch {
  const grid = typeof groups === 'number' ? fold(groups) : groups;
  if (Math.max(...grid) > MAX_GROUPS)
    throw new ShapeError(
      `${kernel.entry}: a grid may have ${MAX_GROUPS} workgroups per dimension, got [${grid.join(', ')}]. Split the rows among several calls.`,
    );
  const { usesParams, paramsBytes } = kernel.reflection;
  const words = usesParams ? new Uint32Array(Math.ceil(paramsBytes / 4)) : NO_WORDS;
  if (usesParams) kernel.pack(params ?? NO_PARAMS, new Float32Array(words.buffer), words, 0);
  return { kernel, entry: pipelines.get(kernel, define), words, groups: grid, flops, bytes };
}

/** Folds a linear workgroup count into x and y; kernels undo it by `linear_group`. */
function fold(count: number): [number, number, number] {
  if (count <= MAX_GROUPS) return [count, 1, 1];
  const y = Math.ceil(count / MAX_GROUPS);
  return [Math.ceil(count / y), y, 1];
}
