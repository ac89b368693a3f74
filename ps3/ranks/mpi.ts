// The transport over an installed MPI, called through koffi: Open MPI, or MPICH and what shares its ABI. Calls run on a
// thread of Node's pool, one after another (MPI_THREAD_SERIALIZED), so that the event loop lives while ranks wait.
import koffi, { type LibraryHandle } from 'koffi';
import { type OpenTransport, RanksError } from './transport.ts';

/** What differs between the implementations: handles are addresses of symbols in one, numbers in the other. */
interface Abi {
  /** Names of its library, the first that loads is taken. */
  readonly libraries: readonly string[];
  readonly handle: 'void *' | 'int';
  readonly world: string | number;
  readonly byte: string | number;
  readonly float: string | number;
  readonly sum: string | number;
  readonly errorsReturn: string | number;
  /** MPI_IN_PLACE, an address. */
  readonly inPlace: bigint;
}

/** Source: mpi.h of Open MPI 4.1 and of MPICH 4.0; both keep their ABI. */
const ABIS: Readonly<Record<Implementation, Abi>> = {
  'Open MPI': {
    libraries: ['libmpi.so.40', 'libmpi.40.dylib', 'libmpi.so'],
    handle: 'void *',
    world: 'ompi_mpi_comm_world',
    byte: 'ompi_mpi_byte',
    float: 'ompi_mpi_float',
    sum: 'ompi_mpi_op_sum',
    errorsReturn: 'ompi_mpi_errors_return',
    inPlace: 1n,
  },
  MPICH: {
    libraries: ['libmpich.so.12', 'libmpi.so.12', 'libmpi.12.dylib'],
    handle: 'int',
    world: 0x44000000,
    byte: 0x4c00010d,
    float: 0x4c00040a,
    sum: 0x58000003,
    errorsReturn: 0x54000001,
    inPlace: BigInt.asUintN(64, -1n),
  },
};

/** An implementation of MPI whose ABI is known here. */
export type Implementation = 'Open MPI' | 'MPICH';

const THREAD_SERIALIZED = 2;
/** Counts are 32-bit integers: longer arrays are sent in pieces. */
const PIECE_BYTES = 2 ** 30;
/** Room for an MPI_Status (24 and 20 bytes) and for the text of an error. */
const [STATUS_BYTES, ERROR_BYTES] = [64, 8192];

/** Of calls on other threads, as usual for threads: MPICH's collectives need more than koffi's 128 KiB. */
const STACK_BYTES = 2 ** 23;

/** A foreign function; koffi checks its arguments. */
type Foreign = ReturnType<LibraryHandle['func']>;

/**
 * Joins the ranks that `mpirun` started.
 *
 * @param pieceBytes  most bytes of one call; a multiple of 4
 * @throws RanksError when its library is not installed or offers no calls from other threads
 */
export function openMpi(implementation: Implementation, pieceBytes: number = PIECE_BYTES): OpenTransport {
  koffi.config({ async_stack_size: STACK_BYTES });
  const abi = ABIS[implementation];
  const { handle } = abi;
  const library = loadLibrary(implementation, abi.libraries);
  const handleOf = (value: string | number): unknown =>
    typeof value === 'number' ? value : library.symbol(value);
  const [world, byte, float, sum, errorsReturn] = [
    abi.world,
    abi.byte,
    abi.float,
    abi.sum,
    abi.errorsReturn,
  ].map(handleOf);
  const define = (name: string, parameters: string[]): Foreign =>
    library.func(`MPI_${name}`, 'int', parameters);
  const buffer = 'void *';
  const block = [buffer, 'int', handle];

  const provided = new Int32Array(1);
  const errorString = define('Error_string', ['int', buffer, buffer]);
  const check = (name: string, code: number): void => {
    if (code === 0) return;
    const text = new Uint8Array(ERROR_BYTES);
    const length = new Int32Array(1);
    errorString(code, text, length);
    const reason = new TextDecoder().decode(text.subarray(0, length[0]));
    throw new RanksError(
      `${name}: every rank must answer, got ${reason}. See what mpirun says of the others.`,
    );
  };
  check(
    'MPI_Init_thread',
    define('Init_thread', [buffer, buffer, 'int', buffer])(null, null, THREAD_SERIALIZED, provided),
  );
  if (provided[0] < THREAD_SERIALIZED)
    throw new RanksError(
      `openMpi: ${implementation} must allow calls from any thread, got level ${provided[0]}.`,
    );
  check('MPI_Comm_set_errhandler', define('Comm_set_errhandler', [handle, handle])(world, errorsReturn));
  const numberOf = (name: string): number => {
    const value = new Int32Array(1);
    check(`MPI_${name}`, define(name, [handle, buffer])(world, value));
    return value[0];
  };
  const [rank, size] = [numberOf('Comm_rank'), numberOf('Comm_size')];

  const functions = {
    Allreduce: define('Allreduce', [buffer, ...block, handle, handle]),
    Allgather: define('Allgather', [...block, ...block, handle]),
    Sendrecv: define('Sendrecv', [...block, 'int', 'int', ...block, 'int', 'int', handle, buffer]),
    Barrier: define('Barrier', [handle]),
  };
  const getCount = define('Get_count', [buffer, handle, buffer]);
  let last: Promise<unknown> = Promise.resolve();
  /** Runs a call on another thread after those before it. What `parameters` refer to must live until then. */
  const call = (name: keyof typeof functions, ...parameters: unknown[]): Promise<void> => {
    const made = last.then(
      () =>
        new Promise<void>((resolve, reject) => {
          functions[name].async(...parameters, (failure: Error | null, code: number) => {
            if (failure) reject(failure);
            else
              try {
                check(`MPI_${name}`, code);
                resolve();
              } catch (error) {
                reject(error);
              }
          });
        }),
    );
    last = made.catch(() => undefined);
    return made;
  };

  return {
    rank,
    size,
    async allReduce(values) {
      for (const piece of piecesOf(values, pieceBytes / 4))
        await call('Allreduce', abi.inPlace, piece, piece.length, float, sum, world);
    },
    async allGather(bytes) {
      const all = outside(size * bytes.length);
      let begin = 0;
      for (const piece of piecesOf(bytes, pieceBytes)) {
        const isWhole = piece.length === bytes.length;
        const gathered = isWhole ? all : outside(size * piece.length);
        await call('Allgather', piece, piece.length, byte, gathered, piece.length, byte, world);
        if (!isWhole)
          for (let r = 0; r < size; r++)
            all.set(gathered.subarray(r * piece.length, (r + 1) * piece.length), r * bytes.length + begin);
        begin += piece.length;
      }
      return all;
    },
    async sendReceive(bytes, to, from) {
      const received = outside(bytes.length);
      const arrivals = piecesOf(received, pieceBytes);
      for (const [i, piece] of piecesOf(bytes, pieceBytes).entries()) {
        const status = outside(STATUS_BYTES);
        const arrival = arrivals[i];
        await call(
          'Sendrecv',
          ...[piece, piece.length, byte, to, 0],
          ...[arrival, arrival.length, byte, from, 0],
          world,
          status,
        );
        const count = new Int32Array(1);
        check('MPI_Get_count', getCount(status, byte, count));
        if (count[0] !== arrival.length)
          throw new RanksError(
            `sendReceive: both ranks must send as much, got ${count[0]} bytes from rank ${from} for ${arrival.length}.`,
          );
      }
      return received;
    },
    barrier: () => call('Barrier', world),
    close: () => check('MPI_Finalize', define('Finalize', [])()),
    abort: (code) => check('MPI_Abort', define('Abort', [handle, 'int'])(world, code)),
  };
}

function loadLibrary(implementation: Implementation, names: readonly string[]): LibraryHandle {
  const reasons: string[] = [];
  for (const name of names)
    try {
      return koffi.load(name, { global: true }); // its plug-ins look for its symbols
    } catch (cause) {
      reasons.push((cause as Error).message);
    }
  throw new RanksError(
    `openMpi: the library of ${implementation}, whose mpirun started this, must be installed, got ${reasons.join(', ')}.`,
  );
}

/** Bytes outside of V8's heap, where short arrays are otherwise: it moves them while a call on another thread writes. */
function outside(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(length));
}

/** Views, which are outside of V8's heap too, of at most `length` elements; one of none for an empty array. */
function piecesOf<A extends Float32Array | Uint8Array>(whole: A, length: number): A[] {
  const count = Math.max(1, Math.ceil(whole.length / length));
  return Array.from({ length: count }, (_, i) => whole.subarray(i * length, (i + 1) * length) as A);
}
