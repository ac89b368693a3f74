// What `ps3 train --init-only` makes.
import type { Engine } from '../../engine/index.ts';
import type { TrainConfig } from '../train/config.ts';
import { RunFolder } from '../train/run.ts';
import { loadStart, newModel, withWords } from '../train/start.ts';
import { ProgressBar } from './progress.ts';
import { loadTrainingData } from './training_data.ts';

/**
 * Writes the checkpoint that training would begin with, in the published layout.
 *
 * @param out  a new folder, which is then a checkpoint and no run
 * @throws RunError where there is something already; as `loadStart`, and DataError for the captions of a new model
 */
export async function writeStart(engine: Engine, out: string, config: TrainConfig): Promise<void> {
  await RunFolder.assertFree(out);
  const bar = new ProgressBar();
  const show = (what: string, done: number, all: number): void => bar.update(what, done, all);
  const { from } = config.init;
  const onProgress = (done: number, all: number): void => show(`reading ${from}`, done, all);
  const captions = async (): Promise<readonly string[]> => (await loadTrainingData(config, show)).captions();
  using model =
    from === null
      ? newModel(engine, config, await captions())
      : await withWords(engine, await loadStart(engine, config, from, { onProgress }), config, captions);
  bar.stop();
  await model.save(out);
}
