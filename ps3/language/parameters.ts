// Names, shapes and first values of a decoder's parameters. What one product reads is one parameter: queries, keys and
// values are `qkv_proj`, gate and up `gate_up_proj`. Files have them apart, under transformers' names.
import { size } from '../../engine/index.ts';
import type { ParameterPlan } from '../model/checkpoint/init.ts';
import type { LanguageConfig } from './config.ts';

/** Standard deviation of new matrices and tables: `initializer_range`. */
const INITIAL_STD = 0.02;

/** The layers whose weights are the embedding, [V, D], which may also be the head, and the head of an untied model, [V, D]. */
const EMBEDDING_LAYER = 'model.embed_tokens';
const HEAD_LAYER = 'lm_head';

/** The embedding, [V, D]. */
export const EMBEDDING: string = `${EMBEDDING_LAYER}.weight`;
/** The head of an untied model, [V, D]. */
export const HEAD: string = `${HEAD_LAYER}.weight`;

/** The layer that makes logits. */
export function headLayer({ isTied }: LanguageConfig): string {
  return isTied ? EMBEDDING_LAYER : HEAD_LAYER;
}

/** A tensor of a checkpoint: rows of a parameter. */
export interface StoredPart {
  /** The parameter that holds it. */
  readonly parameter: string;
  /** The first of its elements there. */
  readonly start: number;
  readonly shape: readonly number[];
}

/** A parameter and, in their order, the tensors that it is in a checkpoint: [name, rows]. */
interface Joined {
  readonly name: string;
  readonly parts: readonly (readonly [name: string, rows: number])[];
  /** Columns; undefined for a vector. */
  readonly columns?: number;
  readonly initial: ParameterPlan['initial'];
}

/** Every parameter, in checkpoint order. @param std  of new matrices and tables */
export function planLanguageParameters(
  config: LanguageConfig,
  std: number = INITIAL_STD,
): Map<string, ParameterPlan> {
  return new Map(
    joined(config, std).map(({ name, parts, columns, initial }) => {
      const rows = parts.reduce((sum, [, rows]) => sum + rows, 0);
      return [name, { shape: columns === undefined ? [rows] : [rows, columns], initial }];
    }),
  );
}

/** Where every tensor of a checkpoint lies, by its name there. */
export function storedParts(config: LanguageConfig): Map<string, StoredPart> {
  const stored = new Map<string, StoredPart>();
  for (const { name: parameter, parts, columns } of joined(config)) {
    let start = 0;
    for (const [name, rows] of parts) {
      const shape = columns === undefined ? [rows] : [rows, columns];
      stored.set(name, { parameter, start, shape });
      start += size(shape);
    }
  }
  return stored;
}

function joined(config: LanguageConfig, std: number = INITIAL_STD): Joined[] {
  const { vocabSize, width, heads, kvHeads, headSize, mlpHidden } = config;
  const drawn = { kind: 'normal', std } as const;
  const matrix = (name: string, rows: number, columns: number): Joined => {
    return { name, parts: [[name, rows]], columns, initial: drawn };
  };
  const norm = (name: string): Joined => {
    return { name, parts: [[name, width]], initial: { kind: 'constant', value: 1 } };
  };
  const list = [matrix(EMBEDDING, vocabSize, width)];
  for (let i = 0; i < config.layers; i++) {
    const layer = `model.layers.${i}.`;
    const rows = { q: heads * headSize, k: kvHeads * headSize, v: kvHeads * headSize };
    const qkv = (kind: 'weight' | 'bias'): Joined['parts'] =>
      Object.entries(rows).map(([part, rows]) => [`${layer}self_attn.${part}_proj.${kind}`, rows]);
    list.push(
      norm(`${layer}input_layernorm.weight`),
      { name: `${layer}self_attn.qkv_proj.weight`, parts: qkv('weight'), columns: width, initial: drawn },
      {
        name: `${layer}self_attn.qkv_proj.bias`,
        parts: qkv('bias'),
        initial: { kind: 'constant', value: 0 },
      },
      matrix(`${layer}self_attn.o_proj.weight`, width, rows.q),
      norm(`${layer}post_attention_layernorm.weight`),
      {
        name: `${layer}mlp.gate_up_proj.weight`,
        parts: ['gate', 'up'].map((part) => [`${layer}mlp.${part}_proj.weight`, mlpHidden]),
        columns: width,
        initial: drawn,
      },
      matrix(`${layer}mlp.down_proj.weight`, width, mlpHidden),
    );
  }
  list.push(norm('model.norm.weight'));
  if (!config.isTied) list.push(matrix(HEAD, vocabSize, width));
  return list;
}
