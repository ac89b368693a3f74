// Which adapter of several a rank takes: the choice by names, and what Dawn makes of it where lavapipe and SwiftShader are there.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { planAdapter } from '../../engine/gpu/adapters.ts';
import { localRankOf } from '../../ps3/ranks/open.ts';
import { IMPLEMENTATIONS, launcherOf, runRanks } from './mpirun.ts';

const H200 = 'NVIDIA H200';
const CPU = 'llvmpipe (LLVM 15.0.6, 256 bits)';
const SWIFTSHADER = 'SwiftShader Device (Subzero)';

test('adapter: numbers go round the GPUs, software counts where there is nothing else', () => {
  const nameOf = (names: readonly string[], index: number) => planAdapter(names, index, false).switches;
  assert.equal(nameOf([], 1), [], 'where nothing is known, the default');
  assert.equal(nameOf([CPU], 3), []);
  assert.equal(nameOf([H200, CPU], 1), [], 'one GPU is shared');
  const two = [H200, 'Intel(R) Arc(TM) A770', CPU];
  assert.equal(
    [0, 1, 2, 3].map((index) => nameOf(two, index)),
    [[`adapter=${two[0]}`], [`adapter=${two[1]}`], [`adapter=${two[0]}`], [`adapter=${two[1]}`]],
  );
  assert.equal(nameOf([SWIFTSHADER, CPU], 1), [`adapter=${CPU}`]);
});

test('adapter: equal GPUs are told apart by the layer, and without it one is told of', () => {
  const names = [H200, H200, H200, CPU];
  const primes = [0, 1, 2, 3, 4].map((index) => planAdapter(names, index, true).driPrime);
  assert.equal(primes, [undefined, 1, 2, undefined, 1]);
  assert.is(planAdapter(names, 3, false).warning, undefined, 'the first is reached anyway');
  const { warning, driPrime } = planAdapter(names, 1, false);
  assert.is(driPrime, undefined);
  assert.match(String(warning), /3 adapters .* got none for NVIDIA H200/);
  // Dawn takes the first whose name contains the text.
  assert.is(planAdapter(['NVIDIA A100 PCIe', 'NVIDIA A100'], 1, true).driPrime, 1);
  assert.match(String(planAdapter([SWIFTSHADER, SWIFTSHADER], 1, true).warning), /2 adapters/);
});

const ICDS = ['/usr/share/vulkan/icd.d/lvp_icd.json', '/usr/lib/chromium/vk_swiftshader_icd.json'];
const root = fileURLToPath(new URL('../..', import.meta.url));
const env = { XDG_RUNTIME_DIR: tmpdir(), VK_ICD_FILENAMES: ICDS.join(':') };
const flags = ['--import', `${root}engine/wgsl_loader.mjs`, '--import', 'tsx', '--input-type=module', '-e'];

const EACH_NUMBER = `
  import { Engine } from '${root}engine/index.ts';
  for (const index of [0, 1, 2]) {
    const engine = await Engine.create({ index });
    const read = await engine.tensor([1, 2], [2]).data();
    console.log(index + ' has ' + read.join(' and ') + ' on ' + engine.adapterName);
    engine.destroy();
  }
  process.exit(0);`;

const EACH_RANK = `
  import { openEngine } from '${root}ps3/app/commands/engine.ts';
  import { openTransport } from '${root}ps3/ranks/open.ts';
  import { allTexts } from '${root}ps3/ranks/transport.ts';
  const transport = await openTransport();
  const engine = await openEngine({ transport });
  const names = await allTexts(transport, engine.adapterName);
  if (transport.rank === 0) names.forEach((name, i) => console.log(i + ' has 1 and 2 on ' + name));
  engine.destroy();
  transport.close();
  process.exit(0);`;

/** Of lines in order of their numbers, the kinds of adapters: 0, 1, 0 for two in turn. */
function expectInTurn(out: string, err: string): void {
  const lines = out.trim().split('\n');
  const kinds = lines.map(
    (line, i) => /^(\d) has 1 and 2 on .*(llvmpipe|SwiftShader)/.exec(line)?.slice(1) ?? [i],
  );
  assert.equal(
    kinds.map(([number]) => number),
    ['0', '1', '2'],
    `${out}${err}`,
  );
  assert.is.not(kinds[1][1], kinds[0][1]);
  assert.is(kinds[2][1], kinds[0][1]);
}

if (!ICDS.every((path) => existsSync(path)))
  test('adapters of a machine', () => console.log(`skipped: needs ${ICDS.join(' and ')}`));
else {
  test('adapter: of two on a machine, each number opens another one, and the third is the first', () => {
    const options = { cwd: root, env: { ...process.env, ...env }, encoding: 'utf8' } as const;
    const { stdout, stderr } = spawnSync(process.execPath, [...flags, EACH_NUMBER], options);
    expectInTurn(stdout, stderr);
  });

  const [implementation] = IMPLEMENTATIONS.filter(launcherOf);
  test('adapter: ranks of a machine take its adapters in turn', async () => {
    if (!implementation) return console.log('skipped: needs Open MPI or MPICH');
    const { out, err } = await runRanks(implementation, 3, [...flags, EACH_RANK], { env });
    expectInTurn(out, err);
  });
}

test('the variables of an mpirun number the ranks of a machine', () => {
  assert.is(localRankOf({}), undefined);
  assert.is(localRankOf({ OMPI_COMM_WORLD_RANK: '5', OMPI_COMM_WORLD_LOCAL_RANK: '1' }), 1);
  assert.is(localRankOf({ PMI_RANK: '5', MPI_LOCALRANKID: '2' }), 2);
});

test.run();
