// `ps3 export`.
import { type Engine, expect, expectKeys } from '../../../engine/index.ts';
import type { WeightDType } from '../../model/checkpoint/checkpoint.ts';
import { PS3 } from '../../model/ps3.ts';
import { RunFolder } from '../../train/run.ts';
import { isVila } from '../../vila/is_vila.ts';
import { VilaModel } from '../../vila/vila.ts';
import { type Command, command, on, oneOf } from '../flags.ts';
import { withEngine } from './engine.ts';

/** How a checkpoint is written anew. */
export interface ExportOptions {
  /** Of matrices and tables; default bf16. Vectors are f32. */
  readonly storage?: WeightDType;
  /** Position residuals at every place, as the official code reads them; default as the model keeps them. */
  readonly untied?: boolean;
}

/**
 * Writes the model of a run or of a checkpoint as a checkpoint of its own, without what training goes on from.
 *
 * @param place  run folder, checkpoint folder, address or hf://owner/name
 * @returns      parameters written
 * @throws RunError, ConfigError, SafetensorsError, MemoryError as `PS3.load` and `VilaModel.load`; ShapeError for `untied` of a VILA-HD
 */
export async function exportCheckpoint(
  engine: Engine,
  place: string,
  out: string,
  options: ExportOptions = {},
): Promise<number> {
  expectKeys('exportCheckpoint', options, { storage: true, untied: true });
  const { storage = 'bf16', untied } = options;
  const from = await RunFolder.checkpointOf(place);
  if (await isVila(from)) {
    expect(!untied, 'exportCheckpoint', 'untied must not be given for a VILA-HD', `${untied}`);
    using vila = await VilaModel.load(engine, from);
    await vila.save(out, { storage });
    return vila.parameters.elementCount + vila.language.parameters.elementCount;
  }
  using model = await PS3.load(engine, from, { storage });
  await model.save(out, { untied });
  return model.parameters.elementCount;
}

const EXPORT = {
  storage: oneOf(['f32', 'f16', 'bf16'], 'How matrices are written: f32, f16 or bf16; default bf16'),
  untied: on('Tied positions as the tables that the official code reads'),
};

/** Writes a checkpoint to pass on. */
export const exportCommand: Command = command({
  name: 'export',
  operands: '<place> <folder>',
  help: 'Write the model of a run or checkpoint to pass on: in half the size, without what training goes on from',
  flags: EXPORT,
  run: async (values, [place, out]) =>
    withEngine(async (engine) => {
      const count = await exportCheckpoint(engine, place, out, values);
      console.log(`${out}: ${count.toLocaleString('en')} parameters in ${values.storage ?? 'bf16'}`);
      return 0;
    }),
});
