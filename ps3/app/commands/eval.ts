// `ps3 eval`.
import { PS3 } from '../../model/ps3.ts';
import { RunFolder } from '../../train/run.ts';
import { type Command, command } from '../flags.ts';
import { ProgressBar } from '../progress.ts';
import { evaluateRun, formatEvaluation } from '../session.ts';
import { loadTrainingData, type OnProgress } from '../training_data.ts';
import { withEngine } from './engine.ts';

async function evaluateFolder(path: string): Promise<number> {
  return withEngine(async (engine) => {
    const run = new RunFolder(path);
    const config = await run.config();
    const bar = new ProgressBar();
    const show: OnProgress = (what, done, all) => bar.update(what, done, all);
    const model = await PS3.load(engine, await run.newest());
    const data = await loadTrainingData(
      { ...config, model: model.config.vision, data: { ...config.data, scenes: 0 } },
      show,
    );
    await run.expectData(data.fingerprint);
    console.log(formatEvaluation(await evaluateRun(engine, model, data, config.seed, show)));
    return 0;
  });
}

/** Evaluates a run. */
export const evalCommand: Command = command({
  name: 'eval',
  operands: '<run>',
  help: 'Evaluate a run on its held-out images',
  flags: {},
  run: (_, [run]) => evaluateFolder(run),
});
