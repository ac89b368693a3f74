// What `ps3 train --plan` prints.
import { type Engine, MemoryError, ShapeError } from '../../engine/index.ts';
import { freeBytes } from '../model/checkpoint/memory.ts';
import type { TrainConfig } from '../train/config.ts';
import { measureFlopsPerS, planTraining, type StepNeed, type TrainingNeed } from '../train/plan.ts';
import { presetConfig } from '../train/presets.ts';
import { startConfig } from '../train/start.ts';

/** Of a model whose captions are not read yet: a row of the token table more or less changes little. */
const ASSUMED_WORDS = 1000;

/** `1.23 GB`. */
function scaled(count: number, unit: string): string {
  const [size, prefix] = (
    [
      [1e12, 'T'],
      [1e9, 'G'],
      [1e6, 'M'],
      [1e3, 'k'],
    ] as const
  ).find(([size]) => count >= size) ?? [1, ''];
  return `${(count / size).toPrecision(3)} ${prefix}${unit}`;
}

const bytes = (count: number): string => scaled(count, 'B');
const flop = (count: number): string => scaled(count, 'FLOP');

/** What a run would need, and whether this adapter has it, in lines. */
export async function trainingPlan(engine: Engine, config: TrainConfig): Promise<string> {
  const { from } = config.init;
  const { vocabSize } = config.model;
  const begun = from === null ? undefined : await startConfig(config, from);
  let need: TrainingNeed;
  try {
    need = planTraining(engine, begun ?? presetConfig(config, vocabSize ?? ASSUMED_WORDS), config);
  } catch (error) {
    if (!(error instanceof MemoryError) && !(error instanceof ShapeError)) throw error;
    return `does not fit this adapter: ${error.message} Lower the batch of the stage, or the scales.`;
  }
  const flopsPerS = await measureFlopsPerS(engine);
  const { maxStorageBufferBindingSize } = engine.limits;
  const free = await freeBytes(engine);
  const lines = [
    `${scaled(need.parameters, '').trimEnd()} parameters${(begun ?? vocabSize) ? '' : `, with ${ASSUMED_WORDS} words in the captions`}`,
  ];
  for (const [name, stage] of Object.entries({ towers: need.towers, ps3: need.ps3 })) {
    const { batch, steps } = config[name as 'towers' | 'ps3'];
    if (steps === 0) continue;
    const seconds = stage.totalFlops / flopsPerS;
    const parts = Object.entries(stage.flops).map(([part, flops]) => `${part} ${flop(flops)}`);
    const rest = stage.peakBytes - 4 * need.weightsBytes;
    lines.push(
      '',
      `${name}: ${steps} steps of ${batch} images`,
      `  memory      ${bytes(stage.peakBytes)}: weights ${bytes(need.weightsBytes)}, gradients ${bytes(need.weightsBytes)}, moments ${bytes(2 * need.weightsBytes)}, activations ${bytes(rest)}`,
      `  operations  ${flop(stage.totalFlops)} a step: ${parts.join(', ')}`,
      `  time        ${seconds.toPrecision(2)} s a step and ${((seconds * steps) / 3600).toPrecision(2)} h in all, at the ${flop(flopsPerS)}/s of a matrix product here: no less`,
      `  ${verdict(stage, batch, maxStorageBufferBindingSize, free)}`,
    );
  }
  return lines.join('\n');
}

function verdict(
  { peakBytes, largestBindingBytes }: StepNeed,
  batch: number,
  limit: number,
  free: number,
): string {
  if (largestBindingBytes > limit)
    return `does not fit: its largest operand has ${bytes(largestBindingBytes)}, and this adapter binds ${bytes(limit)}. A batch of ${Math.floor((batch * limit) / largestBindingBytes)} would.`;
  if (peakBytes > free)
    return `does not fit: ${bytes(free)} are free. Lower the batch, or set checkpointBlocks.highRes=true, checkpointBlocks.lowRes=true or precision.activations="bf16".`;
  return Number.isFinite(free)
    ? `fits: ${bytes(free)} are free, and this adapter binds ${bytes(limit)}`
    : `fits as far as bindings go, ${bytes(limit)} on this adapter, which does not tell its memory`;
}
