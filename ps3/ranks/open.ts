// Which transport a process has: that of the mpirun which started it, or none.
import type { Implementation } from './mpi.ts';
import { type OpenTransport, SINGLE } from './transport.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Whose `mpirun` set these variables; undefined where none did. */
export function implementationOf(environment: Environment): Implementation | undefined {
  if (environment.OMPI_COMM_WORLD_SIZE !== undefined) return 'Open MPI';
  return environment.PMI_SIZE === undefined ? undefined : 'MPICH';
}

/** Joins the other ranks, where `mpirun` started this process. @throws RanksError as `openMpi` */
export async function openTransport(environment: Environment = process.env): Promise<OpenTransport> {
  const implementation = implementationOf(environment);
  if (!implementation) return SINGLE;
  // Only here: its binary is of no use to who has no MPI.
  const { openMpi } = await import('./mpi.ts');
  return openMpi(implementation);
}

/** Number of this process among the ranks of its machine, from 0; undefined where no `mpirun` says. */
export function localRankOf(environment: Environment = process.env): number | undefined {
  const { OMPI_COMM_WORLD_LOCAL_RANK: openMpi, MPI_LOCALRANKID: mpich } = environment;
  const text = openMpi ?? mpich;
  return text === undefined ? undefined : Number(text);
}
