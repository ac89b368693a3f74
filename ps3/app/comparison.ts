// Computed tensors against those of a reference file.
import { EngineError, type SafetensorsFile, type Tensor } from '../../engine/index.ts';

/** A file that cannot be replayed. */
export class VerifyError extends EngineError {
  constructor(message: string) {
    super('verify', message);
  }
}

/** Outcome for one tensor. */
export interface Comparison {
  readonly name: string;
  /** Largest |got - want|. */
  readonly maxAbs: number;
  /** The same over the largest |want| of the tensor. */
  readonly maxRel: number;
  readonly passed: boolean;
}

/** How far a tensor may be off, by what it is. */
function allowed(name: string, largest: number, relative: number, gradients: number): number {
  if (
    name.includes('selection_maps') ||
    /(^(decode\.\d+|left)\.tokens|generated_tokens|kept_index\.\d+\.\d+|position)$/.test(name)
  )
    return 0;
  if (name.includes('selection_probs')) return 1e-5;
  if (name.startsWith('grad.')) return gradients * largest;
  if (name.startsWith('after3.')) return 1e-4;
  return relative * largest;
}

/** Compares with the tensors of a file. */
export class Comparer {
  readonly comparisons: Comparison[] = [];
  readonly #file: SafetensorsFile;
  readonly #relative: number;
  readonly #gradients: number;

  /**
   * @param relative   how far a tensor may be off, as a part of its largest magnitude, unless it is a map or a gradient
   * @param gradients  the same of a gradient
   */
  constructor(file: SafetensorsFile, relative: number, gradients = 1e-3) {
    this.#file = file;
    this.#relative = relative;
    this.#gradients = gradients;
  }

  /** Compares a computed tensor with the file's, if it has it. Element counts must agree; axes may be merged. */
  async check(name: string, tensor: Tensor<'f32'>): Promise<void> {
    if (!this.#file.tensors.has(name)) return;
    this.compare(name, await tensor.data(), await this.#file.f32(name));
  }

  /** @param skip  elements that do not count */
  compare(name: string, got: Float32Array, want: Float32Array, skip?: (i: number) => boolean): void {
    let maxAbs = got.length === want.length ? 0 : Number.POSITIVE_INFINITY;
    let largest = 0;
    for (let i = 0; i < want.length; i++) {
      largest = Math.max(largest, Math.abs(want[i]));
      if (skip?.(i)) continue;
      const error = Math.abs(got[i] - want[i]);
      maxAbs = error <= maxAbs ? maxAbs : Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
    }
    const passed = maxAbs <= allowed(name, largest, this.#relative, this.#gradients);
    this.comparisons.push({ name, maxAbs, maxRel: maxAbs === 0 ? 0 : maxAbs / largest, passed });
  }
}

/** One line per group of tensors: count, largest absolute and relative error. */
export function formatComparisons(comparisons: readonly Comparison[]): string[] {
  const groups = new Map<string, Comparison[]>();
  for (const comparison of comparisons) {
    const group = groupOf(comparison.name);
    groups.set(group, [...(groups.get(group) ?? []), comparison]);
  }
  return [...groups].map(([group, members]) => {
    const abs = Math.max(...members.map(({ maxAbs }) => maxAbs));
    const rel = Math.max(...members.map(({ maxRel }) => maxRel));
    const failed = members.filter(({ passed }) => !passed);
    const verdict = failed.length === 0 ? 'ok' : `FAILED: ${failed.map(({ name }) => name).join(', ')}`;
    return `${group.padEnd(32)} ${String(members.length).padStart(4)} tensors   abs ${abs.toExponential(1)}   rel ${rel.toExponential(1)}   ${verdict}`;
  });
}

/** `look1.selection_maps.0` belongs to `look1.selection_maps`; gradients and weights group by tower. */
function groupOf(name: string): string {
  const parts = name.split('.');
  if (parts[0] === 'grad' || parts[0] === 'after3')
    return parts
      .slice(0, 3)
      .join('.')
      .replace(/\.(weight|bias)$/, '');
  return parts.slice(0, 2).join('.');
}

/** A setting of a reference file, JSON. @throws VerifyError where it has none */
export function setting<T>({ metadata }: SafetensorsFile, key: string): T {
  if (metadata[key] === undefined)
    throw new VerifyError(`verify: the metadata must have ${key}, got ${Object.keys(metadata).join(', ')}.`);
  return JSON.parse(metadata[key]) as T;
}
