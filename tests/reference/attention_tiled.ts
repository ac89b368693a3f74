/** The same formulas as in strips of registers; float64. */
export { attentionStrips as attentionTiled } from './attention_strips.ts';
