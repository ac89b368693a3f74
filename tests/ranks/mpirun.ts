// Programs under an installed mpirun, for tests of several ranks.
import { spawn, spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import type { Implementation } from '../../ps3/ranks/mpi.ts';

/** What each implementation calls its mpirun where both are installed, how it names itself, and words that tests need. */
const LAUNCHERS = {
  // More ranks than cores, which they leave to each other, as root, in containers that forbid reading another's memory.
  'Open MPI': {
    command: 'mpirun.openmpi',
    name: /Open ?(MPI|RTE)/i,
    words: [
      ...['--allow-run-as-root', '--oversubscribe', '--mca', 'mpi_yield_when_idle', '1'],
      ...['--mca', 'btl_vader_single_copy_mechanism', 'none'],
    ],
  },
  MPICH: { command: 'mpirun.mpich', name: /HYDRA/i, words: [] },
} as const;

/** Both implementations. */
export const IMPLEMENTATIONS = Object.keys(LAUNCHERS) as Implementation[];

/** The program that starts ranks; undefined where the implementation is not installed. */
export function launcherOf(implementation: Implementation): string | undefined {
  const { command, name } = LAUNCHERS[implementation];
  return [command, 'mpirun'].find((program) =>
    name.test(spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout ?? ''),
  );
}

export interface EndedRanks {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** How to start ranks beside the program's own words. */
export interface RankOptions {
  /** More words for mpirun. */
  readonly words?: readonly string[];
  /** What starts mpirun itself, such as `ip netns exec`. */
  readonly by?: readonly string[];
  /** More variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Called with the process of mpirun. */
  readonly onStart?: (pid: number) => void;
}

/** Runs a program on so many ranks; `args` are those of node. */
export function runRanks(
  implementation: Implementation,
  ranks: number,
  args: readonly string[],
  { words = [], by = [], env = {}, onStart }: RankOptions = {},
): Promise<EndedRanks> {
  const program = launcherOf(implementation)!;
  const own = LAUNCHERS[implementation].words;
  const line = [...by, program, ...own, ...words, '-n', String(ranks), process.execPath, ...args];
  const child = spawn(line[0], line.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { XDG_RUNTIME_DIR: tmpdir(), ...process.env, ...env },
  });
  if (child.pid) onStart?.(child.pid);
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}
