// The parts of a model, by the names of its parameters: what is begun with, trained and locked together.

/**
 * `vision` and `text` are the towers that a plain image-text model has too, the pooling head and the projection included,
 * `logits` the scale and bias of their comparison. Only PS3 has the others: position embeddings per scale, and what decides where
 * to look: the selection head, the prior and the projections of prompts, and the auxiliary encoder by itself, which costs most.
 */
export const PARTS = ['vision', 'text', 'logits', 'positions', 'selection', 'auxiliary'] as const;

/** A name of `PARTS`. */
export type Part = (typeof PARTS)[number];

/** The part that a parameter belongs to, by its official name. */
export function partOf(name: string): Part {
  if (name.startsWith('vision_model.trunk.')) return 'vision';
  if (name.startsWith('logit_')) return 'logits';
  if (name.startsWith('vision_model.pos_emb_residual.')) return 'positions';
  if (name.startsWith('vision_model.highres_selection_feature_module.')) return 'auxiliary';
  return name.startsWith('text_model.') && !name.startsWith('text_model.prompt_proj.') ? 'text' : 'selection';
}

/** Whether a plain image-text model has the part too. */
export function isTower(part: Part): boolean {
  return part === 'vision' || part === 'text' || part === 'logits';
}
