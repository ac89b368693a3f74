// Named parameters in a few large buffers, so that the optimizer runs over all of them in one dispatch each.
import { MemoryError, UseError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { fill } from '../ops/fill.ts';
import { show, size } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';

/** A parameter to make room for. */
export interface ParameterSpec {
  /** How it is asked for; each once. */
  readonly name: string;
  /** Extents of the f32 tensor. */
  readonly shape: readonly number[];
  /** Which optimizer group it belongs to; 0 by default. Groups lie together in the arena. */
  readonly group?: number;
}

/** Elements between the starts of neighbours: 256 bytes, the strictest binding alignment. */
const ALIGNMENT = 64;

/** One buffer of parameters with the buffer of their gradients. */
export interface Arena {
  /** f32 [elements], the parameters one after the other at multiples of 64 elements. */
  readonly values: Tensor;
  /** Made by `enableGradients`. */
  gradients: Tensor | undefined;
  /** First element after each group, ascending. */
  readonly groupEnds: number[];
}

interface Placed extends ParameterSpec {
  readonly arena: number;
  readonly start: number;
}

/**
 * Parameters by name. Each is a view on an arena: `get('blocks.0.norm1.weight')`.
 *
 * Arenas hold the parameters sorted by group and are split where they would exceed the device's binding limit.
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
   * @throws UseError for a name given twice, MemoryError for a parameter beyond the binding limit
   */
  constructor({ gpu }: { readonly gpu: Gpu }, specs: readonly ParameterSpec[]) {
    this.gpu = gpu;
    this.names = specs.map(({ name }) => name);
    const limit = Math.floor(gpu.device.limits.maxStorageBufferBindingSize / 4 / ALIGNMENT) * ALIGNMENT;
    const sizes: number[] = [];
    const groupEnds: number[][] = [];
    const sorted = specs.map((spec) => spec).sort((a, b) => (a.group ?? 0) - (b.group ?? 0));
    for (const spec of sorted) {
      if (this.#placed.has(spec.name))
        throw new UseError(`parameters: names must differ, got ${spec.name} twice.`);
      const room = Math.ceil(size(spec.shape) / ALIGNMENT) * ALIGNMENT;
      if (room > limit)
        throw new MemoryError(
          `parameters: ${spec.name} ${show(spec.shape)} must fit into a binding of ${4 * limit} bytes, got ${4 * room} bytes.`,
        );
      if (sizes.length === 0 || sizes[sizes.length - 1] + room > limit) {
        sizes.push(0);
        groupEnds.push([]);
      }
      const arena = sizes.length - 1;
      this.#placed.set(spec.name, { ...spec, arena, start: sizes[arena] });
      sizes[arena] += room;
      for (let group = 0; group <= (spec.group ?? 0); group++) groupEnds[arena][group] ??= 0;
      groupEnds[arena][spec.group ?? 0] = sizes[arena];
    }
    this.arenas = sizes.map((elements, i) => ({
      values: fill(Tensor.empty(gpu, [elements], 'f32'), 0),
      gradients: undefined,
      groupEnds: runningMax(groupEnds[i]),
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

  /** Number of parameters, in elements. */
  get elementCount(): number {
    return [...this.#placed.values()].reduce((total, { shape }) => total + size(shape), 0);
  }

  /** Makes zeroed gradient buffers and has every parameter collect its gradient there. */
  enableGradients(): void {
    for (const arena of this.arenas)
      arena.gradients ??= fill(Tensor.empty(this.gpu, arena.values.shape, 'f32'), 0);
    for (const [name, tensor] of this.#tensors) {
      const { arena, start, shape } = this.#placed.get(name)!;
      tensor.setRequiresGrad(true);
      tensor.variable.grad ??= this.arenas[arena].gradients!.view(start, shape);
    }
  }

  /** Sets every gradient to zero. */
  zeroGradients(): void {
    for (const { gradients } of this.arenas) if (gradients) fill(gradients, 0);
  }

  /** A view on the part of a same-sized arena (a moment, say) that belongs to a parameter. */
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
