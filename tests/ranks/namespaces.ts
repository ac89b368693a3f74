// Two network namespaces joined by a pair of virtual interfaces: two machines, as far as an MPI can tell.
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RankOptions } from './mpirun.ts';

/** Two machines, and how to start one rank on each with Open MPI. */
export interface Namespaces extends Disposable {
  readonly options: RankOptions;
  /** Bytes that the second one has received. */
  received(): number;
}

const NETWORK = '10.77.0';

function ip(...words: string[]): string {
  const { status, stdout, stderr, error } = spawnSync('ip', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}

/** Why there can be no namespaces here; undefined where there can. */
export function namespacesLack(): string | undefined {
  if (process.getuid?.() !== 0) return 'root';
  return spawnSync('ip', ['-V']).status === 0 ? undefined : 'ip';
}

/** Makes them. @param folder  for the script that Open MPI starts ranks on the other machine with */
export async function openNamespaces(folder: string): Promise<Namespaces> {
  const names = [`psA${process.pid}`, `psB${process.pid}`];
  const links = [`va${process.pid}`, `vb${process.pid}`];
  for (const name of names) ip('netns', 'add', name);
  ip('link', 'add', links[0], 'netns', names[0], 'type', 'veth', 'peer', 'name', links[1], 'netns', names[1]);
  for (const [i, name] of names.entries()) {
    ip('-n', name, 'addr', 'add', `${NETWORK}.${i + 1}/24`, 'dev', links[i]);
    for (const link of ['lo', links[i]]) ip('-n', name, 'link', 'set', link, 'up');
  }
  const agent = join(folder, 'agent.sh');
  // Called as ssh is, with a host and a command; each machine has a name of its own.
  const script = `#!/bin/sh\nshift\nexec ip netns exec ${names[1]} unshare --uts sh -c "hostname psB; $*"\n`;
  await writeFile(agent, script, { mode: 0o755 });
  const network = `${NETWORK}.0/24`;
  return {
    options: {
      by: ['ip', 'netns', 'exec', names[0], 'unshare', '--uts', 'sh', '-c', 'hostname psA; exec "$@"', 'sh'],
      words: [
        ...['--host', `${NETWORK}.1,${NETWORK}.2`, '--mca', 'plm_rsh_agent', agent],
        ...['--mca', 'btl', 'tcp,self', '--mca', 'btl_tcp_if_include', network],
        ...['--mca', 'oob_tcp_if_include', network],
      ],
    },
    received: () => Number(/RX:.*\n\s*(\d+)/.exec(ip('-n', names[1], '-s', 'link', 'show', links[1]))?.[1]),
    [Symbol.dispose]: () => {
      for (const name of names) ip('netns', 'del', name);
    },
  };
}
