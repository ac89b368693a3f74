// An engine for the time of one command.
import { Engine } from '../../../engine/index.ts';
import { localRankOf } from '../../ranks/open.ts';
import { SINGLE, type Transport } from '../../ranks/transport.ts';
import { DEVICE_FILES } from '../device_cache.ts';
import { useKnown } from '../device_records.ts';

/** What an engine is for. */
export interface EngineNeeds {
  /** Time every dispatch; then the device has no other work meanwhile. */
  readonly profile?: boolean;
  /** 3: matrix units too, which are never opened unasked. */
  readonly tier?: 3;
  /** Ranks that each need one; default: this process alone. */
  readonly transport?: Pick<Transport, 'rank' | 'size'>;
}

/** Proofs that go on while engines work. */
const proofs = new WeakMap<Engine, Promise<void>>();

/**
 * Opens the best adapter, planned for by what is known of it; the ranks of a machine take its adapters in turn. Kernels of an
 * adapter that is new are proved in the background.
 */
export async function openEngine({ profile, tier, transport = SINGLE }: EngineNeeds = {}): Promise<Engine> {
  const { rank, size } = transport;
  const index = size > 1 ? localRankOf() : undefined;
  const engine = await Engine.create({ profile, tier, index });
  const say = (sentence: string): void => console.error(size > 1 ? `rank ${rank}: ${sentence}` : sentence);
  engine.warnings.forEach(say);
  const { proving } = await useKnown(engine, DEVICE_FILES, !profile && size === 1, say);
  proofs.set(engine, proving);
  return engine;
}

/** Runs with an engine that is closed afterwards. */
export async function withEngine<T>(
  work: (engine: Engine) => Promise<T>,
  needs: EngineNeeds = {},
): Promise<T> {
  const engine = await openEngine(needs);
  try {
    const result = await work(engine);
    await proofs.get(engine);
    return result;
  } finally {
    engine.destroy();
  }
}
