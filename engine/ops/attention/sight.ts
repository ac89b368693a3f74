// Which keys queries see: the host's side of shaders/lib/causal.wgsl.
import maskSource from '../../../shaders/attention/causal_mask.wgsl' with { type: 'text' };
import sequencesSource from '../../../shaders/attention/sequences.wgsl' with { type: 'text' };
import { type Define, kernel } from '../../gpu/kernel.ts';
import { type OpCall, output, run } from '../../tensor/dispatch.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { sequenceParams } from '../sequences.ts';
import type { AttentionOptions } from './operands.ts';

const sequencesKernel = kernel(sequencesSource, 'attention_sequences');
const maskKernel = kernel(maskSource, 'attention_causal_mask');

/** Which keys queries see, where it is not all of them. */
export interface Sight {
  /** Later keys are hidden. */
  readonly causal: boolean;
  /**
   * The position of the first query among the keys: a number, or i32 on the GPU, [1] or [B]; or i32 [B, T, 2], the first
   * token of each token's sequence and the first after it.
   */
  readonly offset: number | Tensor;
}

/** What queries [B, T, ...] see; the caller disposes `ends`. */
export function sightOf(
  { causal = false, offset = 0, sequences }: AttentionOptions,
  [B, T]: readonly number[],
): { sight: Sight | undefined; ends: Tensor | undefined } {
  if (!sequences) return { sight: causal ? { causal, offset } : undefined, ends: undefined };
  const ends = output([sequences], [B, T, 2], 'i32');
  run(sequencesKernel, {
    bind: { sequences, ends },
    params: { T, batch: B, ...sequenceParams(sequences) },
    groups: Math.ceil((B * T) / sequencesKernel.workgroupSize),
  });
  return { sight: { causal, offset: ends }, ends };
}

/** What a kernel leaves out of what is hidden, see shaders/lib/causal.wgsl. */
export type Hides = 'ELEMENTS' | 'KEYS' | 'QUERIES';

/** Bindings, params and constants of a kernel that leaves something out, or nothing. */
export function sightCall(
  sight: Sight | undefined,
  hides: Hides,
): { bind: OpCall['bind']; params: { offset: number }; define: Define } {
  if (!sight) return NOTHING_HIDDEN;
  const { causal, offset } = sight;
  if (!(offset instanceof Tensor)) return { bind: {}, params: { offset }, define: hiding(hides, causal) };
  const form = offset.shape.length === 3 ? 'PACKED' : offset.size === 1 ? 'SHARED' : 'OWN';
  return { bind: { offsets: offset }, params: { offset: 0 }, define: hiding(hides, causal, form) };
}

const NOTHING_HIDDEN = { bind: {}, params: { offset: 0 }, define: {} };
const defines = new Map<string, Define>();

/** The same object for the same constants. */
function hiding(HIDES: Hides, CAUSAL: boolean, OFFSET?: string): Define {
  const key = `${HIDES} ${CAUSAL} ${OFFSET}`;
  const define = defines.get(key) ?? { HIDES, CAUSAL, ...(OFFSET && { OFFSET }) };
  defines.set(key, define);
  return define;
}

/**
 * What hides keys as a mask [1 or B, 1, T, keys] to be added, 0 or -infinity.
 *
 * @param like    where it is made
 * @param before  keys before those that the queries are among, which all see
 */
export function sightMask(
  like: Tensor,
  sight: Sight,
  { B, T, keys, before }: Readonly<Record<'B' | 'T' | 'keys' | 'before', number>>,
): Tensor<'f32'> {
  const { bind, params, define } = sightCall(sight, 'ELEMENTS');
  const batch = sight.offset instanceof Tensor && sight.offset.size > 1 ? B : 1;
  const mask = output([like], [batch, 1, T, keys]);
  run(maskKernel, {
    bind: { ...bind, mask },
    params: { ...params, T, keys, before, batch, hidden: -Infinity },
    define,
    groups: Math.ceil(mask.size / maskKernel.workgroupSize),
  });
  return mask;
}
