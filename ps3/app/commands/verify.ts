// `ps3 verify`.
import { basename } from 'node:path';
import { formatComparisons } from '../comparison.ts';
import { type Command, command, text, UsageError } from '../flags.ts';
import { verify } from '../verify.ts';
import { withEngine } from './engine.ts';

async function verifyFiles(checkpoint: string | undefined, paths: readonly string[]): Promise<number> {
  if (paths.length === 0) throw new UsageError('verify: give at least one safetensors file.');
  return withEngine(async (engine) => {
    let passed = 0;
    let failed = 0;
    for (const path of paths) {
      const comparisons = await verify(engine, path, { checkpoint });
      console.log(basename(path));
      for (const line of formatComparisons(comparisons)) console.log(`  ${line}`);
      const bad = comparisons.filter((comparison) => !comparison.passed).length;
      failed += bad;
      passed += comparisons.length - bad;
    }
    console.log(`${passed} passed, ${failed} failed`);
    return failed > 0 ? 1 : 0;
  });
}

/** Compares with reference tensors. */
export const verifyCommand: Command = command({
  name: 'verify',
  operands: '[...files]',
  help: 'Replay reference tensors and compare',
  flags: { checkpoint: text('<place>', 'Checkpoint of the weights, for files without') },
  run: ({ checkpoint }, files) => verifyFiles(checkpoint, files),
});
