// What `ps3 eval --zero-shot` leaves in a run: lines of evaluations.jsonl, and a table of the report.
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { writeReport } from '../../ps3/app/report.ts';
import { trainConfig } from '../../ps3/train/presets.ts';
import { appendEvaluation, readZeroShot, rewindEvaluations } from '../../ps3/train/run/evaluations.ts';
import { RunFolder } from '../../ps3/train/run.ts';

test('zero-shot: the last result of each step and folder is in the report, whatever a kill has cut', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'zero-shot-report-'));
  const run = await RunFolder.create(join(folder, 'run'), trainConfig({ preset: 'smoke' }));
  const estimate = (mean: number) => ({ mean, low: mean - 0.1, high: mean + 0.1, count: 40 });
  const classified = (step: number, folder: string, top1: number): Promise<void> => {
    const shares = { top1: estimate(top1), top5: estimate(0.875), meanPerClass: 0.25 };
    const zeroShot = { folder, images: 40, skipped: 0, classes: 8, templates: 2, ...shares };
    return appendEvaluation(run.path, { stage: 'ps3', step, zeroShot });
  };
  await appendFile(join(run.path, 'evaluations.jsonl'), '{"stage":"ps3","st');
  await classified(5, '/flowers', 0.111);
  await classified(5, '/flowers', 0.625);
  await classified(10, '/birds', 0.5);
  const { document } = parseHTML(await readFile(await writeReport(run), 'utf8'));
  const heading = [...document.querySelectorAll('h2')].find((h2) => /Zero-shot/.test(h2.textContent ?? ''));
  const rows = [...(heading?.nextElementSibling?.querySelectorAll('tr') ?? [])].map((tr) =>
    [...tr.children].map((cell) => cell.textContent?.replaceAll('\u00a0', ' ')),
  );
  const shares = ['62.5 % (52.5–72.5)', '87.5 % (77.5–97.5)', '25.0 %'];
  assert.equal(rows[1], ['/flowers', '5', '40', '8', '2', ...shares]);
  assert.equal(rows[2].slice(0, 2), ['/birds', '10']);
  assert.is(rows.length, 3);
  // Back at a checkpoint of step 7, only what was found before it is left.
  await rewindEvaluations(run.path, { stage: 'ps3', step: 7 }, () => undefined);
  const kept = await readZeroShot(run.path, console.error);
  assert.equal(
    kept.map(({ zeroShot }) => zeroShot.folder),
    ['/flowers'],
  );
  await rm(folder, { recursive: true });
});

test.run();
