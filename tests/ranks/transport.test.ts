// The functions of the transport under every MPI that is installed, against plain loops in transport_rank.ts.
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { implementationOf, openTransport } from '../../ps3/ranks/open.ts';
import { IMPLEMENTATIONS, launcherOf, runRanks } from './mpirun.ts';

const program = fileURLToPath(new URL('transport_rank.ts', import.meta.url));
const rankOf = (...words: string[]): string[] => ['--import', 'tsx', program, ...words];

for (const implementation of IMPLEMENTATIONS) {
  if (!launcherOf(implementation)) {
    test(`${implementation}: transport`, () => console.log(`skipped: needs ${implementation}`));
    continue;
  }
  for (const [ranks, ...pieceBytes] of [[2], [4, '4096']] as const)
    test(`${implementation}: the functions agree with plain loops on ${ranks} ranks`, async () => {
      const { code, out, err } = await runRanks(implementation, ranks, rankOf('functions', ...pieceBytes));
      assert.is(code, 0, err);
      const lines = out.trim().split('\n').sort();
      const expected = Array.from({ length: ranks }, (_, rank) => `rank ${rank} of ${ranks} agrees`);
      assert.equal(lines, expected);
    });

  test(`${implementation}: unequal lengths are a sentence on the rank that sees them`, async () => {
    const { out } = await runRanks(implementation, 2, rankOf('unequal'));
    assert.match(out, /sendReceive: both ranks must send as much, got 4 bytes from rank 0 for 8\./);
    assert.match(out, /MPI_Sendrecv: every rank must answer, got .*(truncat|TRUNCATE)/i);
  });

  test(`${implementation}: an abort and a death end every rank`, async () => {
    const aborted = await runRanks(implementation, 3, rankOf('abort'));
    assert.is(aborted.code, 7, aborted.err);
    const dead = await runRanks(implementation, 3, rankOf('die'));
    assert.ok(dead.code !== 0 && dead.code !== null, dead.err);
    assert.match(dead.err + dead.out, /signal 9|KILLED BY SIGNAL: 9/i);
    assert.not.match(dead.out, /agrees/);
  });
}

test('without mpirun there is one process, which reaches itself', async () => {
  const transport = await openTransport({});
  assert.equal([transport.rank, transport.size], [0, 1]);
  const values = Float32Array.of(1, 2);
  await transport.allReduce(values);
  assert.equal(values, Float32Array.of(1, 2));
  const bytes = Uint8Array.of(3, 4);
  assert.equal(await transport.allGather(bytes), bytes);
  assert.equal(await transport.sendReceive(bytes, 0, 0), bytes);
  await transport.barrier();
  transport.close();
});

test('the variables of an mpirun name its implementation', () => {
  assert.is(implementationOf({}), undefined);
  assert.is(implementationOf({ OMPI_COMM_WORLD_SIZE: '2', PMIX_RANK: '0' }), 'Open MPI');
  assert.is(implementationOf({ PMI_SIZE: '2', PMI_RANK: '1' }), 'MPICH');
});

test.run();
