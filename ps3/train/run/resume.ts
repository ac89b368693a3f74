// What a run that goes on may do otherwise than it began.
import type { TrainConfig } from '../config.ts';
import { changedConfig } from '../presets.ts';
import { RunError } from './errors.ts';

/**
 * Keys of the configuration that `--resume` may change, since none of them changes a weight: what is kept and when, what is
 * held in memory, and where data is, whose fingerprint must stay. A name stands for all keys below it.
 */
export const CHANGEABLE_KEYS: readonly string[] = [
  'saveEvery',
  'saveEveryMinutes',
  'checkpoints',
  'evaluation',
  'checkpointBlocks',
  'data.folder',
  'data.photos',
  'data.imagesInFlight',
  'data.cacheFolder',
  'data.cacheGb',
];

/**
 * The configuration that a run goes on with.
 *
 * @param set  changes to its own, such as `saveEvery=50`
 * @throws RunError naming keys that must stay; ConfigError as `parseTrainConfig`
 */
export function resumedConfig(config: TrainConfig, set: readonly string[]): TrainConfig {
  const next = changedConfig(config, set);
  const fixed = differences(config, next, '').filter(
    (path) => !CHANGEABLE_KEYS.some((key) => path === key || path.startsWith(`${key}.`)),
  );
  if (fixed.length > 0)
    throw new RunError(
      `resumedConfig: keys that decide the result must stay as the run began, got another ${fixed.join(', ')}. Change ${CHANGEABLE_KEYS.join(', ')}, or begin a new run.`,
    );
  return next;
}

/** Paths of the keys whose values differ. */
function differences(before: unknown, after: unknown, path: string): string[] {
  if (!isTree(before) || !isTree(after))
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [path];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => differences(before[key], after[key], path ? `${path}.${key}` : key));
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
