// What is known of a device, kept from one start to the next: which kernels are right on it, and the planner's choices that were
// measured there.
import {
  type DeviceRecord,
  type Engine,
  EngineError,
  proveKernels,
  useDeviceRecord,
} from '../../engine/index.ts';

/** Where records are kept, by adapter and by what compiles and runs kernels: another version begins anew. */
export interface DeviceStore<Kept = unknown> {
  /** What compiles and runs kernels, as records note it. */
  readonly program: Pick<DeviceRecord, 'runtime' | 'versions'>;
  /** What is kept of an adapter; undefined: nothing. */
  read(adapter: string): Promise<string | undefined>;
  /** Keeps it; where that cannot be, every start finds it out again. */
  write(adapter: string, text: string): Promise<Kept>;
}

/** What is known of an engine's device; undefined if that is nothing, or of lower tiers alone. */
export async function readDeviceRecord(
  store: DeviceStore,
  { adapterName, tier }: Pick<Engine, 'adapterName' | 'tier'>,
): Promise<DeviceRecord | undefined> {
  const text = await store.read(adapterName);
  const record = text === undefined ? undefined : parse(text);
  return record && record.adapter === adapterName && record.tier >= tier ? record : undefined;
}

/** A text that is no record, as a machine that stopped may leave one, is as good as none: all in it can be found again. */
function parse(text: string): DeviceRecord | undefined {
  try {
    const record = JSON.parse(text) as DeviceRecord | null;
    return Array.isArray(record?.kernels) ? record : undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

/** Keeps a record. @returns  what the store returns */
export function writeDeviceRecord<Kept>(store: DeviceStore<Kept>, record: DeviceRecord): Promise<Kept> {
  return store.write(record.adapter, `${JSON.stringify(record, undefined, 1)}\n`);
}

/**
 * Has an engine plan by what is known of its device. Of one that is new its kernels are proved meanwhile, which takes less
 * than a second on a GPU and some seconds of compilation on a CPU.
 *
 * @param proves  false: prove nothing
 * @param say     takes a sentence for each kernel that is left out
 * @returns       resolves when all is known
 */
export async function useKnown(
  engine: Engine,
  store: DeviceStore,
  proves: boolean,
  say: (sentence: string) => void,
): Promise<{ readonly proving: Promise<void> }> {
  const record = await readDeviceRecord(store, engine);
  if (record) for (const sentence of useDeviceRecord(engine, record)) say(sentence);
  return { proving: record || !proves ? Promise.resolve() : prove(engine, store, say) };
}

async function prove(engine: Engine, store: DeviceStore, say: (sentence: string) => void): Promise<void> {
  const { adapterName: adapter, tier } = engine;
  try {
    const { proofs: kernels, warnings } = await proveKernels(engine);
    for (const sentence of warnings) say(sentence);
    const lower = await readDeviceRecord(store, { adapterName: adapter, tier: 0 });
    await writeDeviceRecord(store, {
      ...{ adapter, tier, ...store.program, kernels },
      ...(lower?.tuning && { tuning: lower.tuning }),
    });
  } catch (error) {
    // The device was lost, or is full: the work of the engine itself says so, and the next start tries again.
    if (!(error instanceof EngineError)) throw error;
  }
}
