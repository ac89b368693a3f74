// A session that outlives its device: when that is lost or has no memory left, another one goes on from the last checkpoint.
import { setTimeout } from 'node:timers/promises';
import { AdapterError, DeviceLostError, type Engine, EngineError, MemoryError } from '../../engine/index.ts';
import { RunFolder } from '../train/run.ts';
import { runSession } from './session.ts';
import type { SessionOptions, SessionResult } from './session_options.ts';

/** How a session goes on. */
export interface RecoveryOptions {
  /** Opens the device again. */
  readonly reopen: () => Promise<Engine>;
  /** Seconds to wait before each time, in a row without a checkpoint between: a driver that resets needs some. Default 0, 2, 10. */
  readonly pausesS?: readonly number[];
}

/** What a failure of the device asks of the user, by its class. */
const ADVICE: Readonly<Record<string, string>> = {
  memory:
    'Resume with --set checkpointBlocks.lowRes=true --set checkpointBlocks.highRes=true, or begin a new run with a higher ps3.accumulate or activations in half precision.',
  other:
    'Close what else uses the GPU and check its driver, which may reset a GPU whose work takes long: a lower ps3.batch shortens it.',
};

/**
 * As `runSession`; when the device fails, opens it again and resumes, which leads to the same weights.
 *
 * @param engine  for the first time; the caller destroys it
 * @throws DeviceLostError, MemoryError, AdapterError, with what to do, after as many times in a row as there are pauses; as
 *   `runSession`
 */
export async function runRecovering(
  engine: Engine,
  options: SessionOptions,
  { reopen, pausesS = [0, 2, 10] }: RecoveryOptions,
): Promise<SessionResult> {
  const run = new RunFolder(options.out);
  let current: Engine | undefined = engine;
  let again = options;
  let times = 0;
  let reached = '';
  for (;;) {
    try {
      current ??= await reopen();
      const result = await runSession(current, again);
      if (current !== engine) current.destroy();
      return result;
    } catch (error) {
      const failure = current ? await failureOf(current) : error;
      current?.destroy();
      current = undefined;
      if (!(failure instanceof EngineError) || !isOfDevice(failure) || options.signal?.aborted) throw error;
      const progress = await run.progress();
      const place = progress ? `step ${progress.step} of ${progress.stage}` : 'the start';
      if (place !== reached) times = 0;
      reached = place;
      if (times === pausesS.length) {
        const advice = ADVICE[failure instanceof MemoryError ? 'memory' : 'other'];
        failure.message += ` It was so ${times + 1} times in a row after ${place}. ${advice}`;
        throw failure;
      }
      console.error(
        `${failure.message}\ntrain: opens the device again and goes on from ${place}, time ${times + 1} of ${pausesS.length}.`,
      );
      await setTimeout(1000 * pausesS[times++]);
      if (await run.exists())
        again = { ...options, resume: true, config: undefined, minutes: undefined, profile: false };
    }
  }
}

/** What ended the work of an engine, which some implementations tell a little after what it made fail. */
function failureOf(engine: Engine): Promise<Error | undefined> {
  return Promise.race([engine.lost, setTimeout(100)]).then(() => engine.failure);
}

const isOfDevice = (error: EngineError): boolean =>
  error instanceof DeviceLostError || error instanceof MemoryError || error instanceof AdapterError;
