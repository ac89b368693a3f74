// metrics.jsonl, one line per step. A kill may cut its last line, and lines of a run that went on from an earlier checkpoint
// may follow those of the steps it does again.
import { fileSystem, onPath, readTextFile } from '../../engine/index.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import { compareProgress, type StageName } from './run/progress.ts';

/** One line of metrics.jsonl. */
export interface Metric {
  /** Which stage of training. */
  readonly stage: StageName;
  /** Steps done in the stage. */
  readonly step: number;
  /** Learning rate of the step. */
  readonly lr: number;
  /**
   * How fast it went, in which two runs of the same config differ. Everything else in the line is decided by the config and
   * the data.
   */
  readonly speed?: Speed;
  /**
   * Losses by their names, `gradNorm` before clipping, `logitScale` (the factor) and `logitBias` after the step, `cutCaptions`. Of a
   * step that was not taken, since its gradients were not finite, `skipped` is 1 and there is no `gradNorm`.
   */
  readonly [value: string]: number | string | Speed | undefined;
}

/** What the machine did in one step. */
export interface Speed {
  /** From the end of the step before, on the GPU and with what the host does between. */
  readonly stepMs: number;
  /** Samples of the batch per second. */
  readonly imagesPerS: number;
  /** Patches, low-res and selected, and text tokens per second. */
  readonly tokensPerS: number;
  /** Floating-point operations per second, 1e9, as the kernels declare them; of several ranks, of the first one. Not of steps that are recorded anew each time. */
  readonly gflopPerS?: number;
  /** Of what this adapter reached on one large matrix product in f32, in [0, 1] and above where f16 products are faster. */
  readonly peakShare?: number;
  /** Bytes that the engine holds on the device, of several ranks on that of the first one: of live tensors and kept for reuse. */
  readonly deviceBytes: number;
  /** Milliseconds for which the step waited for its batch; of several ranks, their mean. */
  readonly dataWaitMs?: number;
  /** Of several ranks: milliseconds in which an exchange between them was under way, waiting for slower ones included. */
  readonly exchangeMs?: number;
  /** Of several ranks: what each had to send. */
  readonly exchangeBytes?: number;
}

/** What the losses of the maps were called in earlier files. */
const FORMER_NAMES: Readonly<Record<string, string>> = { prior: 'bottomUp', posterior: 'topDown' };

/** Appends a line. */
export async function appendMetric(path: string, metric: Metric): Promise<void> {
  const { appendFile } = await fileSystem();
  await onPath(path, () => appendFile(path, `${JSON.stringify(metric)}\n`));
}

/**
 * The lines of a file, each step once, the last time it was done; none when there is no file.
 *
 * @param notice  told, in a sentence, of lines that are broken and left out
 */
export function readMetrics(path: string, notice: (sentence: string) => void): Promise<Metric[]> {
  return readSteps<Metric>(path, notice);
}

/** As `readMetrics`, of any file whose lines are of steps. @param kindOf  lines of different kinds stand side by side */
export async function readSteps<T extends Pick<Metric, 'stage' | 'step'>>(
  path: string,
  notice: (sentence: string) => void,
  kindOf: (line: T) => string = () => '',
): Promise<T[]> {
  const { stat } = await fileSystem();
  const text = (await stat(path).catch(() => undefined)) ? await readTextFile(path) : '';
  const steps = new Map<string, T>();
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const metric = parse<T>(line);
    if (metric) {
      const key = `${metric.stage} ${metric.step} ${kindOf(metric)}`;
      steps.delete(key);
      steps.set(key, metric);
    } else notice(`${path}: line ${i + 1} is cut off, as by a kill, and left out.`);
  }
  return [...steps.values()];
}

/** Leaves out what comes after `step` steps of a stage, for a run that does it again. */
export async function rewindMetrics(
  path: string,
  progress: Pick<Metric, 'stage' | 'step'>,
  notice: (sentence: string) => void,
): Promise<void> {
  const kept = (await readMetrics(path, notice)).filter((metric) => compareProgress(metric, progress) < 0);
  await writeWhole(path, kept.map((metric) => `${JSON.stringify(metric)}\n`).join(''));
}

/** Seconds of training up to each of the metrics, without what was done between steps, such as saving. */
export function trainingSeconds(metrics: readonly Metric[]): number[] {
  let seconds = 0;
  return metrics.map(({ speed }) => {
    seconds += (speed?.stepMs ?? 0) / 1000;
    return seconds;
  });
}

/** Share of the captions of all steps that were cut to fit the text tower. */
export function cutCaptions(metrics: readonly Metric[]): number {
  const shares = metrics.flatMap(({ cutCaptions }) => (typeof cutCaptions === 'number' ? [cutCaptions] : []));
  return shares.length === 0 ? 0 : shares.reduce((sum, share) => sum + share) / shares.length;
}

function parse<T extends object>(line: string): T | undefined {
  try {
    const metric = JSON.parse(line) as T;
    return Object.fromEntries(
      Object.entries(metric).map(([key, value]) => [FORMER_NAMES[key] ?? key, value]),
    ) as T;
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}
