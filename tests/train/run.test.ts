// The files of a run folder as an editor of another system saves them.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { trainConfig } from '../../ps3/train/presets.ts';
import { RunError, RunFolder } from '../../ps3/train/run.ts';

const folder = await mkdtemp(join(tmpdir(), 'run-'));
test.after(() => rm(folder, { recursive: true }));

const config = trainConfig({ preset: 'smoke', set: ['seed=7', 'data.folder=/images/café'] });

async function refusal(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (error) => error,
  );
  assert.instance(error, RunError, String(error));
  return (error as RunError).message;
}

test('run: config.json and metrics.jsonl are read with a byte order mark and CRLF', async () => {
  const metrics = [1, 2].map((step) => ({ stage: 'ps3' as const, step, lr: 0.1, loss: 1 / step }));
  const lines = metrics.map((metric) => JSON.stringify(metric));
  for (const [mark, end] of [
    ['', '\n'],
    ['\uFEFF', '\r\n'],
    ['\uFEFF', '\n'],
  ]) {
    const text = JSON.stringify(config, undefined, 2).replaceAll('\n', end);
    await writeFile(join(folder, 'config.json'), mark + text);
    await writeFile(join(folder, 'metrics.jsonl'), mark + lines.join(end) + end + end);
    const run = new RunFolder(folder);
    assert.equal(await run.config(), config);
    const said: string[] = [];
    assert.equal(await run.metrics((sentence) => said.push(sentence)), metrics);
    assert.equal(said, []);
  }
});

test('run: a config.json that is missing, cut off or in another encoding is refused in a sentence', async () => {
  const path = join(folder, 'config.json');
  const rule = `RunFolder.config: ${folder} must hold a run's config.json, got `;
  await rm(path);
  assert.ok(
    (await refusal(new RunFolder(folder).config())).startsWith(`${rule}files: ${path} must be there`),
  );
  for (const bytes of [Buffer.from('{"preset": "sm'), Buffer.from(JSON.stringify(config), 'latin1')]) {
    await writeFile(path, bytes);
    const sentence = await refusal(new RunFolder(folder).config());
    assert.ok(sentence.startsWith(rule), sentence);
    assert.match(sentence, /[^.]\.$/);
  }
});

test('run: a folder with a run is not free, a new one is and is not made', async () => {
  assert.match(await refusal(RunFolder.assertFree(folder)), /must be a new folder, got one with a run/);
  await RunFolder.assertFree(join(folder, 'a/b'));
  assert.not.ok((await readdir(folder)).includes('a'));
});

test.run();
