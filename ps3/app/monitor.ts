// What is shown of a run while it trains: a bar or lines, and event files for TensorBoard.
import type { TrainConfig } from '../train/config.ts';
import type { Metric } from '../train/metrics.ts';
import type { Progress, RunFolder } from '../train/run.ts';
import { EventFile, scalarsOf } from '../train/tensorboard.ts';
import { formatSeconds, type ProgressBar } from './progress.ts';

const TITLES = { towers: 'stage 1: towers', ps3: 'stage 2: PS3' } as const;

/** Shows a run step by step. */
export class RunMonitor {
  readonly #config: TrainConfig;
  readonly #bar: ProgressBar;
  readonly #events: EventFile;

  private constructor(config: TrainConfig, bar: ProgressBar, events: EventFile) {
    this.#config = config;
    this.#bar = bar;
    this.#events = events;
  }

  /** @param progress  where the run goes on; undefined at its start */
  static async open(
    run: RunFolder,
    config: TrainConfig,
    bar: ProgressBar,
    progress: Progress | undefined,
  ): Promise<RunMonitor> {
    const first = progress ? stepsBefore(config, progress.stage) + progress.step : 0;
    return new RunMonitor(config, bar, await EventFile.begin(`${run.path}/tensorboard`, first));
  }

  /** @param samplesPerS  since the run began or went on */
  async step(metric: Metric, samplesPerS: number): Promise<void> {
    const { stage, step, ...values } = metric;
    const { steps } = this.#config[stage];
    this.#bar.update(TITLES[stage], step + 1, steps, details(metric, samplesPerS, this.#config));
    // Steps count on over both stages: readers drop what a later file has again by the number of the step.
    await this.#events.add(stepsBefore(this.#config, stage) + step, scalarsOf(values, stage));
  }
}

function stepsBefore({ towers }: TrainConfig, stage: Metric['stage']): number {
  return stage === 'towers' ? 0 : towers.steps;
}

function details(metric: Metric, samplesPerS: number, config: TrainConfig): string {
  const { steps, batch } = config[metric.stage];
  const left = ((steps - metric.step - 1) * batch) / samplesPerS;
  const { gflopPerS = 0, peakShare = 0, dataWaitMs = 0 } = metric.speed ?? {};
  return [
    `loss ${Number(metric.loss).toFixed(3)}`,
    `${samplesPerS.toFixed(1)} images/s`,
    `${gflopPerS.toFixed(1)} GFLOP/s (${(100 * peakShare).toFixed(0)} % of peak)`,
    ...(dataWaitMs >= 1 ? [`${dataWaitMs.toFixed(0)} ms for data`] : []),
    `${formatSeconds(left)} left`,
  ].join('  ');
}
