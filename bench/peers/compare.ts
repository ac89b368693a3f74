// One case in other libraries. Each is checked by the same reference as ours, then timed in the same way: by the wall clock
// from the first call to the end of the device's work, with as many runs in a sample or, where the library is slower, in samples
// that last as long, after two warm-ups and more.
import type { Engine, Peaks, TensorData } from '../../engine/index.ts';
import {
  median,
  medianDeviation,
  rates,
  takeSamples,
  withoutSpinning as waitFor,
} from '../../engine/internal.ts';
import type { BenchCase, Result } from '../harness.ts';
import { type Failure, mistake, type Row, SAMPLE_MS } from '../measure.ts';
import type { Operand, Peer, PeerRun } from './peer.ts';

/**
 * One peer on one case; what it throws is a failure of this peer on this case alone.
 *
 * @param ours  our row, by the wall clock: tells the most runs in a sample, and the copies of the operands
 * @returns     undefined where the library lacks the op
 */
export async function measurePeer(
  engine: Engine,
  peer: Peer,
  benchCase: BenchCase,
  ours: Row,
  peaks: Peaks,
  seconds: number,
): Promise<Row | Failure | undefined> {
  const { op, shape } = benchCase;
  const { library } = peer;
  if (!benchCase.peer) throw new Error(`internal: ${op} ${shape} names no operation for other libraries.`);
  const { operands, maxError } = reference(engine, benchCase);
  await engine.idle();
  const withoutSpinning = <T>(waiting: Promise<T>): Promise<T> => waitFor(engine, waiting);
  let run: PeerRun | undefined;
  try {
    const { copies = 1 } = ours;
    const preparing = peer.prepare(benchCase.peer, operands, copies);
    if (!preparing) return undefined;
    run = await withoutSpinning(preparing);
    const error = await maxError(run, withoutSpinning);
    const wrong = mistake(benchCase, library, error);
    if (wrong) return wrong;
    const timed = async (runs: number): Promise<number> => {
      const start = performance.now();
      await withoutSpinning(run!.run(runs));
      return (performance.now() - start) / runs;
    };
    const onceMs = await timed(1);
    const runs = Math.min(ours.runs, Math.ceil(SAMPLE_MS.wall / onceMs));
    // Every copy is touched before, unless that takes longer than all samples may.
    await withoutSpinning(run.run(Math.max(runs, Math.min(copies, Math.ceil((1000 * seconds) / onceMs)))));
    const ms = await takeSamples(seconds, () => timed(runs));
    const medianMs = median(ms);
    return {
      op,
      shape,
      dtype: ours.dtype,
      tier: ours.tier,
      library,
      medianMs,
      spreadMs: medianDeviation(ms),
      runs,
      copies,
      ...rates(benchCase, medianMs, peaks),
      maxError: error,
    };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { op, shape, library, reason: error.message.split('\n')[0] };
  } finally {
    await run?.dispose();
  }
}

type WithoutSpinning = <T>(waiting: Promise<T>) => Promise<T>;

/** The numbers that a case uploads, and its check of results that other libraries computed from them. */
function reference(
  engine: Engine,
  benchCase: BenchCase,
): { operands: Operand[]; maxError: (run: PeerRun, withoutSpinning: WithoutSpinning) => Promise<number> } {
  using scope = engine.scope();
  const operands: Operand[] = [];
  const view: Engine = Object.create(engine);
  view.empty = (shape, options) => engine.empty(shape, { scope, ...options });
  view.tensor = (data, shape = [data.length], options) => {
    if (data instanceof Float32Array || data instanceof Uint32Array || data instanceof Int32Array)
      operands.push({ data, shape });
    return engine.tensor(data, shape, { scope, ...options });
  };
  const prepared = benchCase.prepare(view);
  prepared.dispose?.();
  const maxError = (run: PeerRun, withoutSpinning: WithoutSpinning): Promise<number> => {
    const result = (): Result => ({
      data: async (): Promise<TensorData> => {
        await withoutSpinning(run.run(1));
        return withoutSpinning(run.read());
      },
      dispose: () => undefined,
    });
    return prepared.maxError(result(), result);
  };
  return { operands, maxError };
}
