// What went wrong, in sentences that say what to do.
import type { Failure } from '../measure.ts';

/** Why a run cannot begin here, as far as the page alone can tell. */
export function obstacle(): string | undefined {
  if (!isSecureContext)
    return 'WebGPU needs https or localhost, and this page came by neither. Open it through one of them, for example with npm run bench:page.';
  if (!navigator.gpu)
    return 'This browser offers no WebGPU. Open the page in a current Chrome, Edge, Safari or Firefox; in Chrome on Linux, WebGPU may have to be switched on at chrome://flags/#enable-unsafe-webgpu.';
  return undefined;
}

/** Why a run ended early. */
export function endedBy(code: string, message: string): string {
  switch (code) {
    case 'adapter':
      return `No GPU adapter answered, so nothing can be measured. Turn on graphics acceleration in the browser's settings, bring the graphics driver up to date and look at chrome://gpu for the reason; in Chrome on Linux, start it with --enable-unsafe-webgpu. (${message})`;
    case 'device-lost':
      return `The GPU device was lost before the first case. Close what else uses the GPU, reload this page and run again. (${message})`;
    case 'memory':
      return `The device ran out of memory before the first case. Close other pages and programs that use the GPU, then run again. (${message})`;
    case 'usage':
      return message.replace('bench: --filter', 'Ops');
    default:
      return `The run stopped at an error. Reload this page and run again; if it stays, report it with what stands here: ${message}`;
  }
}

/** What the failures of a run mean, a sentence or two for each kind. */
export function notices(failures: readonly Failure[]): string[] {
  const casesOf = (chosen: readonly Failure[]): string =>
    chosen.map(({ op, shape }) => `${op} ${shape}`).join(', ');
  const lost = failures.filter(({ code }) => code === 'device-lost');
  const skipped = failures.filter((failure) => failure.skipped);
  const failed = failures.filter((failure) => !lost.includes(failure) && !skipped.includes(failure));
  const said: string[] = [];
  if (lost.length > 0)
    said.push(
      `The GPU device was lost during ${casesOf(lost)}; the cases after it run on a new device. Close what else uses the GPU and run again, with this op alone, to see whether it comes back.`,
    );
  if (skipped.length > 0)
    said.push(
      `There is not enough GPU memory for ${casesOf(skipped)}. Close other pages that use the GPU, or run the quick suite.`,
    );
  if (failed.length > 0)
    said.push(
      `${failed.length === 1 ? 'One case' : `${failed.length} cases`} gave no time: ${casesOf(failed)}. The table has the reasons; if they stay after a reload, report them with the JSON.`,
    );
  return said;
}
