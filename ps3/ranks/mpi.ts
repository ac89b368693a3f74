// The transport over an installed MPI, called through koffi: Open MPI, or MPICH and what shares its ABI. Calls run on
// threads of Node's pool, those of a channel one after another, so that the event loop lives while ranks wait.
import koffi, { type LibraryHandle } from 'koffi';
import { type OpenTransport, RanksError, type Transport } from './transport.ts';

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

/** Any thread may call at any time. */
const THREAD_MULTIPLE = 3;
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
  // UCX, which both may use, would otherwise patch the memory functions of the process: V8 then dies now and then.
  process.env.UCX_MEM_EVENTS ??= 'n';
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
    define('Init_thread', [buffer, buffer, 'int', buffer])(null, null, THREAD_MULTIPLE, provided),
  );
  if (provided[0] < THREAD_MULTIPLE)
    throw new RanksError(
      `openMpi: ${implementation} must allow calls from any thread at any time, got thread level ${provided[0]}.`,
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
  const duplicate = define('Comm_dup', [handle, buffer]);
  /** Calls on another thread. What `parameters` refer to must live until then. */
  const call = async (name: keyof typeof functions, ...parameters: unknown[]): Promise<void> => {
    const code = await new Promise<number>((resolve, reject) => {
      functions[name].async(...parameters, (failure: Error | null, code: number) =>
        failure ? reject(failure) : resolve(code),
      );
    });
    check(`MPI_${name}`, code);
  };

  /** The calls on one communicator: each begins when the one before it has ended, on every rank in the same order. */
  const channelOn = (communicator: unknown): Transport => {
    let last: Promise<unknown> = Promise.resolve();
    const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
      const done = last.then(work);
      last = done.catch(() => undefined);
      return done;
    };
    return {
      rank,
      size,
      allReduce: (values) =>
        inTurn(async () => {
          for (const piece of piecesOf(values, pieceBytes / 4))
            await call('Allreduce', abi.inPlace, piece, piece.length, float, sum, communicator);
        }),
      allGather: (bytes) =>
        inTurn(async () => {
          const all = outside(size * bytes.length);
          let begin = 0;
          for (const piece of piecesOf(bytes, pieceBytes)) {
            const { length } = piece;
            const gathered = length === bytes.length ? all : outside(size * length);
            await call('Allgather', piece, length, byte, gathered, length, byte, communicator);
            for (let r = 0; r < size && gathered !== all; r++)
              all.set(gathered.subarray(r * length, (r + 1) * length), r * bytes.length + begin);
            begin += length;
          }
          return all;
        }),
      sendReceive: (bytes, to, from) =>
        inTurn(async () => {
          const received = outside(bytes.length);
          const arrivals = piecesOf(received, pieceBytes);
          for (const [i, piece] of piecesOf(bytes, pieceBytes).entries()) {
            const { length } = piece;
            const status = outside(STATUS_BYTES);
            const [sent, arriving] = [
              [piece, length, byte, to, 0],
              [arrivals[i], length, byte, from, 0],
            ];
            await call('Sendrecv', ...sent, ...arriving, communicator, status);
            const count = new Int32Array(1);
            check('MPI_Get_count', getCount(status, byte, count));
            if (count[0] !== length)
              throw new RanksError(
                `sendReceive: both ranks must send as much, got ${count[0]} bytes from rank ${from} for ${length}.`,
              );
          }
          return received;
        }),
      barrier: () => inTurn(() => call('Barrier', communicator)),
    };
  };

  return {
    ...channelOn(world),
    channel() {
      const made = handle === 'int' ? new Int32Array(1) : new BigUint64Array(1);
      check('MPI_Comm_dup', duplicate(world, made));
      return channelOn(made[0]);
    },
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
