// `ps3 report` and `ps3 compare`.
import { writeWhole } from '../../model/checkpoint/writer.ts';
import { RunFolder } from '../../train/run.ts';
import { comparePage } from '../compare.ts';
import { type Command, command, text, UsageError } from '../flags.ts';
import { writeReport } from '../report.ts';

/** Builds a report anew. */
export const reportCommand: Command = command({
  name: 'report',
  operands: '<run>',
  help: 'Write the report of a run anew, from its folder alone',
  flags: {},
  run: async (_, [run]) => {
    console.log(await writeReport(new RunFolder(run)));
    return 0;
  },
});

/** Overlays runs. */
export const compareCommand: Command = command({
  name: 'compare',
  operands: '[...runs]',
  help: 'Write one page with the losses, settings and results of several runs',
  flags: { out: text('<file>', 'Page to write; default compare.html') },
  run: async ({ out = 'compare.html' }, runs) => {
    if (runs.length < 2)
      throw new UsageError(`compare: there must be two runs or more, got ${runs.join(', ') || 'none'}.`);
    await writeWhole(out, await comparePage(runs.map((run) => new RunFolder(run))));
    console.log(out);
    return 0;
  },
});
