// Which parameters a run does not train.
import type { ModelConfig } from '../model/config/config.ts';
import { PARTS, type Part, partOf } from '../model/parts.ts';

/** Parts that are kept as they begin: no gradient, no update, no decay. */
export interface LockConfig {
  /** The locked parts. */
  readonly parts: readonly Part[];
  /**
   * Of a locked image tower, the last groups that are trained all the same, counted as in open_clip: patch embedding and
   * positions, each block but the last, the last block with the final norm, the pooling head.
   */
  readonly unlockedVisionGroups: number;
  /** The same of a locked text tower: embeddings, each block but the last, the last block with the final norm, the projection. */
  readonly unlockedTextGroups: number;
}

/** Number of a tower's group, from 0, and how many groups it has. */
function groupOf(name: string, depth: number): [group: number, count: number] {
  const count = depth + 2;
  const block = /\.(?:blocks|resblocks)\.(\d+)\./.exec(name);
  if (block && !name.includes('.siglip_proj.')) return [1 + Number(block[1]), count];
  if (/\.(?:patch_embed\.|pos_embed$|token_embedding\.|positional_embedding$)/.test(name)) return [0, count];
  return [/\.trunk\.norm\.|\.ln_final\./.test(name) ? depth : depth + 1, count];
}

/** Whether a parameter is locked, by its official name. Source of the groups: open_clip, `--lock-image-unlocked-groups`. */
export function lockOf(lock: LockConfig): (name: string, config: ModelConfig) => boolean {
  const { parts, unlockedVisionGroups, unlockedTextGroups } = lock;
  return (name, { vision, text }) => {
    const part = partOf(name);
    if (!parts.includes(part)) return false;
    if (part !== 'vision' && part !== 'text') return true;
    const isVision = part === 'vision';
    const [group, count] = groupOf(name, isVision ? vision.depth : text.layers);
    return group < count - (isVision ? unlockedVisionGroups : unlockedTextGroups);
  };
}

/** Every part but these. */
export function allBut(trained: readonly Part[]): Part[] {
  return PARTS.filter((part) => !trained.includes(part));
}
