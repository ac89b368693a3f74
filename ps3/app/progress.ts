// Progress for people: a bar in a terminal, plain lines elsewhere.
import cliProgress from 'cli-progress';
import type { Transport } from '../ranks/transport.ts';

/** One bar after another. Without a terminal, a line at most every `lineSeconds`. */
export class ProgressBar {
  #bar: cliProgress.SingleBar | undefined;
  #title = '';
  #lastLine = 0;
  readonly #lineSeconds: number;
  readonly #terminal: boolean;

  constructor(lineSeconds = 10, terminal: boolean = process.stderr.isTTY ?? false) {
    this.#lineSeconds = lineSeconds;
    this.#terminal = terminal;
  }

  /** Shows `done` of `all`; a new title begins a new bar. */
  update(title: string, done: number, all: number, details = ''): void {
    if (title !== this.#title) this.#begin(title, all);
    if (this.#terminal) this.#bar?.update(done, { details });
    else if (all === 0) return;
    else if (done === all || performance.now() - this.#lastLine > 1000 * this.#lineSeconds) {
      this.#lastLine = performance.now();
      console.error(`${title}: ${done}/${all}${details ? `  ${details}` : ''}`);
    }
    if (done === all && all > 0) this.stop();
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
    this.#title = '';
  }

  #begin(title: string, all: number): void {
    this.stop();
    this.#title = title;
    this.#lastLine = performance.now();
    if (all === 0) console.error(title);
    else if (this.#terminal) {
      const format = `${title}  {bar}  {value}/{total}  {details}`;
      this.#bar = new cliProgress.SingleBar(
        { format, hideCursor: true, barsize: 24 },
        cliProgress.Presets.shades_classic,
      );
      this.#bar.start(all, 0, { details: '' });
    }
  }
}

/** Bytes from which on it is shown how far a checkpoint is read. */
const SHOWN_BYTES = 1e8;

/** Shows how far a large checkpoint is read. */
export function loadingProgress(): (doneBytes: number, allBytes: number) => void {
  const bar = new ProgressBar();
  const inMB = (bytes: number): number => Math.ceil(bytes / 1e6);
  return (done, all) => {
    if (all > SHOWN_BYTES) bar.update('loading, MB', inMB(done), inMB(all));
  };
}

/** Shows progress on the first of several ranks alone, and says that it is of its part. */
export function leadProgress({ rank, size }: Pick<Transport, 'rank' | 'size'>): ProgressBar['update'] {
  const bar = new ProgressBar();
  const share = size > 1 ? `, rank 0 of ${size}` : '';
  return (title, ...shown) => {
    if (rank === 0) bar.update(`${title}${share}`, ...shown);
  };
}

/** `3 min 20 s`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
