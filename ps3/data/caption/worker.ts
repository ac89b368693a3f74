// Makes pieces in a thread of its own: takes one, answers with its lines, until it is told to end.
import { parentPort, workerData } from 'node:worker_threads';
import { type CaptionOptions, type Piece, PieceMaker } from './piece.ts';

/** What the thread is started with. */
export interface WorkerData {
  readonly out: string;
  readonly options: CaptionOptions;
}

/** The answer to a piece. */
export type Answer = { readonly lines: string[] } | { readonly error: unknown };

if (parentPort) {
  const port = parentPort;
  const { out, options } = workerData as WorkerData;
  const maker = new PieceMaker(out, options);
  port.on('message', async (piece: Piece | 'end') => {
    if (piece === 'end') {
      await maker[Symbol.asyncDispose]();
      port.close();
      return;
    }
    try {
      port.postMessage({ lines: await maker.make(piece) } satisfies Answer);
    } catch (error) {
      port.postMessage({ error } satisfies Answer);
    }
  });
}
