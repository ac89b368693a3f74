// What `ps3 train --plan` prints.
import { type Engine, MemoryError } from '../../engine/index.ts';
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

/** What data-centre GPUs bind and hold, for a plan that this adapter could not even go through. */
const ASSUMED_LIMITS = { maxStorageBufferBindingSize: 2 ** 32 - 4, maxBufferSize: 2 ** 38 };

/** What a run would need, and whether this adapter has it, in lines. */
export async function trainingPlan(engine: Engine, config: TrainConfig): Promise<string> {
  const { from } = config.init;
  const { vocabSize } = config.model;
  const begun = from === null ? undefined : await startConfig(config, from);
  const model = begun ?? presetConfig(config, vocabSize ?? ASSUMED_WORDS);
  let need: TrainingNeed;
  try {
    need = planTraining(engine, model, config);
  } catch (error) {
    if (!(error instanceof MemoryError)) throw error;
    need = planTraining(engine, model, config, ASSUMED_LIMITS);
  }
  const flopsPerS = await measureFlopsPerS(engine);
  const free = await freeBytes(engine);
  const { parameters, trainedParameters, weightsBytes, trainedBytes, averagesBytes } = need;
  const trained = trainedParameters < parameters ? `, ${amount(trainedParameters)} of them trained` : '';
  const words = (begun ?? vocabSize) ? '' : `, with ${ASSUMED_WORDS} words in the captions`;
  const lines = [`${amount(parameters)} parameters${trained}${words}`];
  for (const name of ['towers', 'ps3'] as const) {
    const stage = need[name];
    if (!stage) continue;
    const { batch, steps, accumulate } = config[name];
    const seconds = stage.totalFlops / flopsPerS;
    const parts = Object.entries(stage.flops).map(([part, flops]) => `${part} ${flop(flops)}`);
    const rest = stage.peakBytes - weightsBytes - 3 * trainedBytes - averagesBytes;
    const averages = averagesBytes > 0 ? `averages ${bytes(averagesBytes)}, ` : '';
    lines.push(
      '',
      `${name}: ${steps} steps of ${batch} images${accumulate > 1 ? ` in ${accumulate} parts` : ''}`,
      `  memory      ${bytes(stage.peakBytes)}: weights ${bytes(weightsBytes)}, gradients ${bytes(trainedBytes)}, moments ${bytes(2 * trainedBytes)}, ${averages}activations ${bytes(rest)}; largest operand ${bytes(stage.largestBindingBytes)}`,
      `  operations  ${flop(stage.totalFlops)} a step: ${parts.join(', ')}`,
      `  time        ${rounded(seconds)} s a step and ${rounded((seconds * steps) / 3600)} h in all, at the ${flop(flopsPerS)}/s of a matrix product here: no less`,
      `  ${verdict(name, stage, config, engine.limits.maxStorageBufferBindingSize, free)}`,
    );
  }
  return lines.join('\n');
}

const rounded = (value: number): string => String(Number(value.toPrecision(2)));
const amount = (count: number): string => scaled(count, '').trimEnd();

function verdict(
  name: 'towers' | 'ps3',
  { peakBytes, largestBindingBytes, parameterBindingBytes }: StepNeed,
  config: TrainConfig,
  limit: number,
  free: number,
): string {
  const { batch, accumulate } = config[name];
  const faults: string[] = [];
  if (parameterBindingBytes > limit)
    faults.push(
      `its largest parameter has ${bytes(parameterBindingBytes)}, and this adapter binds ${bytes(limit)}, whatever the batch`,
    );
  else if (largestBindingBytes > limit) {
    const part = Math.floor((batch * limit) / (accumulate * largestBindingBytes));
    const smaller = `lower ${name}.batch to ${accumulate * part}, or raise ${name}.accumulate to ${Math.ceil(batch / part)} or more`;
    faults.push(
      `its largest operand has ${bytes(largestBindingBytes)}, and this adapter binds ${bytes(limit)}: ${part > 0 ? smaller : `an adapter must bind ${bytes(largestBindingBytes / (batch / accumulate))} for one image alone`}`,
    );
  }
  if (peakBytes > free) {
    const { checkpointBlocks: again, precision } = config;
    const savings = [
      ...(again.lowRes && again.highRes && again.text ? [] : ['set checkpointBlocks']),
      ...(precision.activations === 'f32' ? ['set precision.activations=bf16'] : []),
      `lower ${name}.batch or raise ${name}.accumulate`,
      'lock parts',
    ];
    faults.push(`${bytes(free)} are free: ${savings.join(', ')}`);
  }
  if (faults.length > 0) return `does not fit: ${faults.join('; ')}.`;
  return Number.isFinite(free)
    ? `fits: ${bytes(free)} are free, and this adapter binds ${bytes(limit)}`
    : `fits as far as bindings go, ${bytes(limit)} on this adapter, which does not tell its memory`;
}
