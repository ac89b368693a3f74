// What every command that asks a VILA-HD takes.
import type { CheckpointSource } from '../../model/checkpoint/files.ts';
import { VILA_S, VILAS } from '../../model/checkpoint/shipped.ts';
import { type Flag, oneOf, text, UsageError, type Values, whole } from '../flags.ts';

type VilaFlags = {
  readonly [K in 'model' | 'out']: Flag<string>;
} & {
  readonly [K in 'looks' | 'tokens' | 'max-tokens']: Flag<number>;
} & {
  readonly storage: Flag<'f32' | 'f16' | 'bf16' | 'stored'>;
};

/** Flags of every command that asks a VILA-HD. */
export const VILA_FLAGS: VilaFlags = {
  model: text(
    '<place>',
    'The model: a folder with llm/, vision_tower/ and mm_projector/, an http(s) address or hf://owner/name, or vila-s or vila-4k, small ones of this package; default vila-s',
  ),
  storage: oneOf(
    ['f32', 'f16', 'bf16', 'stored'],
    'How matrices are kept: f32, f16, bf16 or stored; default stored',
  ),
  looks: whole('Looks of a full budget, 0 for low resolution alone; default: as the model has it', 0),
  tokens: whole('Patches in total, instead of --looks', 0),
  'max-tokens': whole('New tokens at most; default 512'),
  out: text('<dir>', 'Draw where it looked into this folder'),
};

/** The place of the model. @throws UsageError for looks of two kinds */
export function placeOf(op: string, { model, looks, tokens }: Values<typeof VILA_FLAGS>): CheckpointSource {
  if (looks !== undefined && tokens !== undefined)
    throw new UsageError(`${op}: --looks and --tokens exclude each other, got both. Leave one out.`);
  return model === undefined ? VILA_S : (VILAS.get(model) ?? model);
}

/** How much is looked at, as far as the command line says it. */
export const amountOf = ({
  looks,
  tokens,
}: Values<typeof VILA_FLAGS>): { looks?: number; tokens?: number } => ({
  ...(looks !== undefined && { looks }),
  ...(tokens !== undefined && { tokens }),
});
