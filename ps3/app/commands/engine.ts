// An engine for the time of one command.
import { Engine } from '../../../engine/index.ts';
import { localRankOf } from '../../ranks/open.ts';
import { SINGLE, type Transport } from '../../ranks/transport.ts';

/** What an engine is for. */
export interface EngineNeeds {
  /** Time every dispatch. */
  readonly profile?: boolean;
  /** 3: matrix units too, which are never opened unasked. */
  readonly tier?: 3;
  /** Ranks that each need one; default: this process alone. */
  readonly transport?: Pick<Transport, 'rank' | 'size'>;
}

/** Opens the best adapter; the ranks of a machine take its adapters in turn. */
export async function openEngine({ profile, tier, transport = SINGLE }: EngineNeeds = {}): Promise<Engine> {
  if (transport.size === 1) return Engine.create({ profile, tier });
  const engine = await Engine.create({ profile, tier, index: localRankOf() });
  for (const warning of engine.warnings) console.error(`rank ${transport.rank}: ${warning}`);
  return engine;
}

/** Runs with an engine that is closed afterwards. */
export async function withEngine<T>(
  work: (engine: Engine) => Promise<T>,
  needs: EngineNeeds = {},
): Promise<T> {
  const engine = await openEngine(needs);
  try {
    return await work(engine);
  } finally {
    engine.destroy();
  }
}
