// What is shown of a run while it trains: a bar or lines, event files for TensorBoard, and a report that is kept up to date.
import { stageConfig, type TrainConfig } from '../train/config.ts';
import type { Evaluation } from '../train/evaluate.ts';
import type { Metric } from '../train/metrics.ts';
import { appendEvaluation } from '../train/run/evaluations.ts';
import { STAGE_TITLES, STAGES, type StageName } from '../train/run/progress.ts';
import type { Progress, RunFolder } from '../train/run.ts';
import { EventFile, scalarsOf } from '../train/tensorboard.ts';
import { formatSeconds, type ProgressBar } from './progress.ts';
import { writeReport } from './report.ts';

/** Between two reports. */
const REPORT_MS = 60_000;

/** Shows a run step by step. */
export class RunMonitor {
  readonly #config: TrainConfig;
  readonly #bar: ProgressBar;
  readonly #events: EventFile;
  readonly #run: RunFolder;
  /** When the report is to be written next. */
  #reportAt = performance.now() + REPORT_MS;

  private constructor(run: RunFolder, config: TrainConfig, bar: ProgressBar, events: EventFile) {
    this.#run = run;
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
    return new RunMonitor(run, config, bar, await EventFile.begin(`${run.path}/tensorboard`, first));
  }

  /** @param samplesPerS  since the run began or went on */
  async step(metric: Metric, samplesPerS: number): Promise<void> {
    const { stage, step, ...values } = metric;
    const { steps } = stageConfig(this.#config, stage);
    this.#bar.update(STAGE_TITLES[stage], step + 1, steps, details(metric, samplesPerS, this.#config));
    // Steps count on over both stages: readers drop what a later file has again by the number of the step.
    await this.#events.add(stepsBefore(this.#config, stage) + step, scalarsOf(values, stage));
    if (performance.now() > this.#reportAt) await this.#report();
  }

  /** Keeps an evaluation on the way, and shows it. */
  async evaluated({ stage, step }: Progress, evaluation: Evaluation): Promise<void> {
    await appendEvaluation(this.#run.path, { stage, step, evaluation });
    const { protocols: _, ...numbers } = evaluation;
    const done = stepsBefore(this.#config, stage) + step;
    await this.#events.add(done - 1, scalarsOf(numbers, 'evaluation'));
    await this.#report();
  }

  async #report(): Promise<void> {
    const started = performance.now();
    await writeReport(this.#run, { isRunning: true });
    const ended = performance.now();
    // A report of many steps takes its time, but no more than a fiftieth of all.
    this.#reportAt = ended + Math.max(REPORT_MS, 50 * (ended - started));
  }
}

function stepsBefore(config: TrainConfig, stage: StageName): number {
  return STAGES.slice(0, STAGES.indexOf(stage)).reduce((sum, one) => sum + stageConfig(config, one).steps, 0);
}

function details(metric: Metric, samplesPerS: number, config: TrainConfig): string {
  const { steps, batch } = stageConfig(config, metric.stage);
  const left = ((steps - metric.step - 1) * batch) / samplesPerS;
  const { gflopPerS = 0, peakShare = 0, dataWaitMs = 0 } = metric.speed ?? {};
  return [
    `loss ${Number(metric.loss).toFixed(3)}`,
    `${samplesPerS.toFixed(1)} images/s`,
    ...(gflopPerS > 0 ? [`${gflopPerS.toFixed(1)} GFLOP/s (${(100 * peakShare).toFixed(0)} % of peak)`] : []),
    ...(dataWaitMs >= 1 ? [`${dataWaitMs.toFixed(0)} ms for data`] : []),
    `${formatSeconds(left)} left`,
  ].join('  ');
}
