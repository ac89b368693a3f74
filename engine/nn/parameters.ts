// Named parameters in a few large buffers, so that the optimizer runs over all of them in one dispatch each.
import { UseError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { fill } from '../ops/fill.ts';
import { size } from '../tensor/shape.ts';
import { BYTES_PER_ELEMENT, type DType, Tensor } from '../tensor/tensor.ts';

/** A parameter to make room for. */
export interface ParameterSpec {
  /** How it is asked for; each once. */
  readonly name: string;
  /** Extents. */
  readonly shape: readonly number[];
  /** How it is stored, f32 by default. What `linear` multiplies by and `embedding` reads may be half precision, for inference. */
  readonly dtype?: 'f32' | 'f16' | 'bf16';
  /** Which optimizer group it belongs to; 0 by default. Groups are contiguous in the arena. */
  readonly group?: number;
  /** Never trained: it gets no gradient, and optimizers leave it alone. */
  readonly isLocked?: boolean;
}

/** Neighbours begin at multiples of this, the strictest binding alignment. */
const ALIGNMENT_BYTES = 256;

/** One buffer of parameters with the buffer of their gradients. */
export interface Arena {
  /** [elements], the parameters one after the other at multiples of 256 bytes. */
  readonly values: Tensor;
  /** Made by `enableGradients`, unless it is locked. */
  gradients: Tensor<'f32'> | undefined;
  /** Whether its parameters are never trained. */
  readonly isLocked: boolean;
  /** First element after each group, ascending. */
  readonly groupEnds: number[];
}

interface Layout {
  readonly dtype: DType;
  readonly isLocked: boolean;
  elements: number;
  sizeBytes: number;
  readonly groupEnds: number[];
}

interface Placed extends ParameterSpec {
  readonly arena: number;
  readonly start: number;
}

/**
 * Parameters by name. Each is a view on an arena: `get('blocks.0.norm1.weight')`.
 *
 * Arenas hold the parameters sorted by dtype and group and are split where they would exceed the device's binding
 * limit; those of locked parameters come last. A parameter beyond that limit has an arena to itself; `embedding`,
 * `inferenceLinear` and `linearCrossEntropy` read it in parts, and it trains as the others do.
 */
export class ParameterStore {
  /** The device that it lives on. */
  readonly gpu: Gpu;
  /** The buffers behind the parameters, for optimizers. */
  readonly arenas: readonly Arena[];
  /** In the order in which they were given. */
  readonly names: readonly string[];
  readonly #placed = new Map<string, Placed>();
  readonly #tensors = new Map<string, Tensor>();

  /**
   * Makes room; contents are zero.
   *
   * @throws UseError for a name given twice, MemoryError for a parameter beyond the device's largest buffer
   */
  constructor({ gpu }: { readonly gpu: Gpu }, specs: readonly ParameterSpec[]) {
    this.gpu = gpu;
    this.names = specs.map(({ name }) => name);
    const limitBytes = gpu.device.limits.maxStorageBufferBindingSize;
    const order = ['f32', 'f16', 'bf16'];
    const rank = ({ dtype = 'f32', group = 0, isLocked = false }: ParameterSpec): number =>
      1e9 * Number(isLocked) + 1e6 * order.indexOf(dtype) + group;
    const layouts: Layout[] = [];
    for (const spec of specs.toSorted((a, b) => rank(a) - rank(b))) {
      const { name, shape, dtype = 'f32', group = 0, isLocked = false } = spec;
      if (this.#placed.has(name)) throw new UseError(`parameters: names must differ, got ${name} twice.`);
      const roomBytes =
        Math.ceil((size(shape) * BYTES_PER_ELEMENT[dtype]) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
      let layout = layouts.at(-1);
      const isOfItsKind = layout?.dtype === dtype && layout.isLocked === isLocked;
      if (!layout || !isOfItsKind || layout.sizeBytes + roomBytes > limitBytes) {
        layout = { dtype, isLocked, elements: 0, sizeBytes: 0, groupEnds: [] };
        layouts.push(layout);
      }
      this.#placed.set(name, { ...spec, arena: layouts.length - 1, start: layout.elements });
      layout.sizeBytes += roomBytes;
      layout.elements = layout.sizeBytes / BYTES_PER_ELEMENT[dtype];
      for (let before = 0; before < group; before++) layout.groupEnds[before] ??= 0;
      layout.groupEnds[group] = layout.elements;
    }
    this.arenas = layouts.map(({ dtype, isLocked, elements, groupEnds }) => ({
      values: fill(Tensor.empty(gpu, [elements], dtype), 0),
      gradients: undefined,
      isLocked,
      groupEnds: runningMax(groupEnds),
    }));
    for (const [name, { arena, start, shape }] of this.#placed)
      this.#tensors.set(name, this.arenas[arena].values.view(start, shape));
  }

  /** Whether there is a parameter of this name. */
  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** @throws UseError for an unknown name */
  get(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new UseError(`parameters: ${name} must exist, got ${this.names.length} others.`);
    return tensor;
  }

  /** Whether a parameter is never trained. @throws UseError for an unknown name */
  isLocked(name: string): boolean {
    this.get(name);
    return this.#placed.get(name)?.isLocked ?? false;
  }

  /** The parameters that are not locked, in the order of `names`. */
  get trainedNames(): string[] {
    return this.names.filter((name) => !this.isLocked(name));
  }

  /** Number of parameters, in elements. */
  get elementCount(): number {
    return [...this.#placed.values()].reduce((total, { shape }) => total + size(shape), 0);
  }

  /**
   * Makes zeroed gradient buffers and has every parameter that is not locked collect its gradient there.
   *
   * @throws UseError for parameters in half precision
   */
  enableGradients(): void {
    const trained = [...this.#tensors].filter(([name]) => !this.isLocked(name));
    for (const [name, { dtype }] of trained)
      if (dtype !== 'f32')
        throw new UseError(
          `parameters: training needs f32, got ${name} in ${dtype}. Store the weights as f32.`,
        );
    for (const arena of this.arenas)
      if (!arena.isLocked) arena.gradients ??= fill(Tensor.empty(this.gpu, arena.values.shape, 'f32'), 0);
    for (const [name, tensor] of trained) {
      const { arena, start, shape } = this.#placed.get(name)!;
      tensor.setRequiresGrad(true);
      tensor.variable.grad ??= this.arenas[arena].gradients!.view(start, shape);
      tensor.variable.ownsGrad = false;
    }
  }

  /** Sets every gradient to zero. */
  zeroGradients(): void {
    for (const { gradients } of this.arenas) if (gradients) fill(gradients, 0);
  }

  /** A view on the part of a same-sized arena (a moment, say) that belongs to a parameter, which is not locked. */
  viewOf(arenas: readonly Tensor[], name: string): Tensor {
    const { arena, start, shape } = this.#placed.get(name)!;
    return arenas[arena].view(start, shape);
  }

  /** Frees parameters and gradients. */
  dispose(): void {
    for (const tensor of this.#tensors.values()) {
      tensor.grad?.dispose();
      tensor.dispose();
    }
    for (const { values, gradients } of this.arenas) {
      values.dispose();
      gradients?.dispose();
    }
  }
}

/** Groups without members in an arena end where the group before ends. */
function runningMax(ends: readonly number[]): number[] {
  let highest = 0;
  return ends.map((end) => {
    highest = Math.max(highest, end);
    return highest;
  });
}
