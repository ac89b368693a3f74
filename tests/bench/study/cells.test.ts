// Cells: what is there is not computed again, and what changed is.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cells, hashOf } from '../../../bench/study/cells.ts';
import { ABLATION_ARMS, armConfig, MAIN_ARMS, SIZES } from '../../../bench/study/design.ts';

async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'ps3-cells-'));
  try {
    await work(path);
  } finally {
    rmSync(path, { recursive: true });
  }
}

test('cells: the same description is computed once, also by a later run', () =>
  inFolder(async (path) => {
    let count = 0;
    const ask = (cells: Cells, description: object) =>
      cells.result('sum', description, async () => ({ count: ++count }));
    const cells = new Cells(path);
    const first = await ask(cells, { a: 1, b: { c: 2, d: 3 } });
    assert.equal(await ask(cells, { b: { d: 3, c: 2 }, a: 1 }), first, 'whatever the order of keys');
    assert.equal((await ask(new Cells(path), { a: 1, b: { c: 2, d: 3 } })).value, { count: 1 });
    assert.equal((await ask(cells, { a: 1, b: { c: 2, d: 4 } })).value, { count: 2 });
    const other = await cells.result('product', { a: 1, b: { c: 2, d: 3 } }, async () => ({
      count: ++count,
    }));
    assert.is(other.value.count, 3, 'another name is another cell');
    assert.equal(
      cells.used.map(({ name }) => name),
      ['sum', 'sum', 'sum', 'product'],
    );
  }));

test('cells: one that was interrupted keeps its folder and is computed again', () =>
  inFolder(async (path) => {
    const cells = new Cells(path);
    const stopped = cells.result('train', {}, async (folder) => {
      writeFileSync(join(folder, 'half'), '');
      throw new Error('interrupted');
    });
    assert.instance(await stopped.catch((error) => error), Error);
    const { value } = await cells.result('train', {}, async (folder) => existsSync(join(folder, 'half')));
    assert.is(value, true, 'what it had made is there');
  }));

test('cells: configurations of all arms and seeds of a study differ', () => {
  const arms = [...MAIN_ARMS, ...ABLATION_ARMS];
  const hashes = arms.flatMap((arm) => [1, 2].map((seed) => hashOf(armConfig(SIZES.quick, arm, seed))));
  assert.is(new Set(hashes).size, 2 * arms.length);
});

test.run();
