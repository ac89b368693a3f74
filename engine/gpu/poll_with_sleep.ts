/**
 * Waits for a promise of Dawn for Node, which polls for it once per iteration of the event loop and would
 * keep a core busy that a software adapter needs for its kernels: sleeps a millisecond per iteration.
 */
export async function pollWithSleep(waiting: Promise<unknown>): Promise<void> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  waiting.then(settle, settle);
  const cell = new Int32Array(new SharedArrayBuffer(4));
  while (!settled) {
    Atomics.wait(cell, 0, 0, 1);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
