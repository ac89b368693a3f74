// Requests to the worker and their answers; answers that nobody waits for any more are dropped.
import type { Answer, Request } from './messages.ts';

/** Answers after which no other follows. */
const LAST: readonly Answer['kind'][] = [
  ...(['loaded', 'read', 'looked', 'answered', 'compared', 'stopped', 'error'] as const),
];

/** The worker as the page sees it. */
export class ModelWorker {
  readonly #worker = new Worker('worker.js', { type: 'module' });
  /** Requests that are not answered to the end. */
  readonly #open = new Map<number, Request['kind']>();
  #lastId = 0;

  /** @param onAnswer  takes answers of the latest request of each kind, and what the worker says unasked */
  constructor(onAnswer: (answer: Answer) => void) {
    this.#worker.onmessage = ({ data: { id, answer } }: MessageEvent<{ id: number; answer: Answer }>) => {
      if (id !== 0 && !this.#open.has(id)) return;
      if (LAST.includes(answer.kind)) this.#open.delete(id);
      onAnswer(answer);
    };
    this.#worker.onerror = ({ message }) =>
      onAnswer({
        kind: 'error',
        during: 'load',
        code: 'internal',
        message: message || 'worker.js did not load',
      });
  }

  /** Sends a request; earlier ones that it makes pointless are forgotten. */
  ask(request: Request): void {
    for (const [id, kind] of this.#open)
      if (request.kind === 'load' || request.kind === 'stop' || kind === request.kind) this.#open.delete(id);
    this.#open.set(++this.#lastId, request.kind);
    this.#worker.postMessage({ id: this.#lastId, request });
  }
}
