// An engine for the time of one command.
import { Engine } from '../../../engine/index.ts';

/** Runs with an engine that is closed afterwards. */
export async function withEngine<T>(work: (engine: Engine) => Promise<T>, profile = false): Promise<T> {
  const engine = await Engine.create({ profile });
  try {
    return await work(engine);
  } finally {
    engine.destroy();
  }
}
