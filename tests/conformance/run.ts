// npm run conformance -- FILE...: replays files of ONNX operator cases. A line per failing case, then what was skipped and why; the
// last line is `N passed, N failed, N skipped`.
import { Engine, SafetensorsError } from '../../engine/index.ts';
import { type Outcome, replay } from './replay.ts';

const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error('conformance: there must be a file to replay, got none. Name files of operator cases.');
  process.exit(2);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const skipped = new Map<string, Map<string, number>>();

function note({ name, op, attributes, status, reason = '', detail = '' }: Outcome): void {
  counts[status]++;
  if (status === 'failed') console.log(`${name}: ${op} ${JSON.stringify(attributes)} ${reason}`);
  if (status !== 'skipped') return;
  const details = skipped.get(reason) ?? new Map<string, number>();
  details.set(detail, (details.get(detail) ?? 0) + 1);
  skipped.set(reason, details);
}

const engine = await Engine.create();
try {
  for (const path of paths) for await (const outcome of replay(engine, path)) note(outcome);
} catch (error) {
  if (!(error instanceof SafetensorsError)) throw error;
  console.error(`conformance: ${error.message}`);
  process.exit(2);
}
engine.destroy();

for (const [reason, details] of skipped)
  console.log(
    `skipped: ${reason} (${Array.from(details, ([detail, count]) => `${detail} ${count}`).join(', ')})`,
  );
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
