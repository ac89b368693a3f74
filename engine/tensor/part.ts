// Parts of tensors that are larger than one binding may be. An op loops over them; most tensors are one part.
import { MemoryError } from '../gpu/errors.ts';
import { show } from './shape.ts';
import type { Tensor } from './tensor.ts';

/** Bindings start at multiples of 256 bytes; ops count in words of 4 bytes (an f32, a u32, an RGBA pixel). */
const ALIGNMENT_WORDS = 64;

/** Words that any part of a tensor may have to fit into one binding, wherever it starts. */
export function partWords(tensor: Tensor): number {
  const limitBytes = tensor.gpu.limits.maxStorageBufferBindingSize;
  return (Math.floor(limitBytes / 4 / ALIGNMENT_WORDS) - 1) * ALIGNMENT_WORDS;
}

/** True when the whole tensor fits into one binding. */
export function isBindable(tensor: Tensor): boolean {
  return tensor.sizeBytes <= tensor.gpu.limits.maxStorageBufferBindingSize;
}

/**
 * Runs `fn` on f32 tensors of one size or, where they do not fit into bindings, in turns on the same elements of all.
 *
 * @param fn  gets the tensors, or flat views that it must not keep, and the number of elements before them
 */
export function inParts<K extends string>(
  tensors: Readonly<Record<K, Tensor>>,
  fn: (parts: Readonly<Record<K, Tensor>>, first: number) => void,
): void {
  const all = Object.values<Tensor>(tensors);
  if (all.every(isBindable)) {
    fn(tensors, 0);
    return;
  }
  const most = partWords(all[0]);
  for (let first = 0; first < all[0].size; first += most) {
    const parts: Record<K, Tensor> = { ...tensors };
    for (const name in tensors)
      parts[name] = tensors[name].view(first, [Math.min(most, tensors[name].size - first)]);
    fn(parts, first);
    for (const name in parts) parts[name].dispose();
  }
}

/** Checks that an operand fits into one binding, as stored. @throws MemoryError */
export function expectBindable(op: string, name: string, tensor: Tensor): void {
  if (isBindable(tensor)) return;
  const limitBytes = tensor.gpu.limits.maxStorageBufferBindingSize;
  const narrower = tensor.dtype === 'f32' ? 'Store it as f16 or bf16, or multiply' : 'Multiply';
  throw new MemoryError(
    `${op}: ${name} must fit into maxStorageBufferBindingSize = ${limitBytes} bytes, got ${tensor.dtype} ${show(tensor.shape)} of ${tensor.sizeBytes}. ${narrower} by slices of it.`,
  );
}

/**
 * Words [first, end) of a tensor as a tensor that can be bound; the caller disposes it.
 *
 * @returns  the whole tensor if it fits, or a view; word w of the tensor is word w - base of it
 */
export function part(tensor: Tensor, first: number, end: number): { view: Tensor; base: number } {
  if (isBindable(tensor)) return { view: tensor.alias(), base: 0 };
  const base = Math.floor(first / ALIGNMENT_WORDS) * ALIGNMENT_WORDS;
  const perWord = tensor.dtype === 'u8' ? 4 : 1;
  return { view: tensor.view(base * perWord, [(end - base) * perWord]), base };
}
