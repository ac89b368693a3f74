// `ps3 data pack`.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Packed } from '../../data/pack/begun.ts';
import { packFolder } from '../../data/pack/pack_folder.ts';
import { packShards } from '../../data/pack/pack_shards.ts';
import { archivesOf } from '../../data/stream/shard.ts';
import { ShardCache } from '../../data/stream/shard_cache.ts';
import type { Transport } from '../../ranks/transport.ts';
import { type Command, command, text, UsageError, type Values, whole } from '../flags.ts';
import { leadProgress } from '../progress.ts';

const PACK = {
  annotations: text(
    '<tars>',
    'Archives of annotations, in the order of those of images, which <source> then names',
  ),
  'samples-per-shard': whole('Samples in each pair of archives, at most; default 1000'),
  'max-shard-mb': whole('Megabytes of an archive of images, at most; default 1000'),
};

async function pack(
  values: Values<typeof PACK>,
  [source, out]: readonly string[],
  transport: Transport,
): Promise<number> {
  const { annotations = null, 'samples-per-shard': samplesPerShard, 'max-shard-mb': maxShardMB } = values;
  const archives = archivesOf({ images: source, annotations });
  const show = leadProgress(transport);
  const onProgress = (done: number, all: number): void => show('packing shards', done, all);
  let packed: Packed;
  if (archives === undefined) {
    const maxShardBytes = maxShardMB && 1e6 * maxShardMB;
    packed = await packShards(source, out, { samplesPerShard, maxShardBytes, transport, onProgress });
  } else {
    const unused = Object.entries({ 'samples-per-shard': samplesPerShard, 'max-shard-mb': maxShardMB })
      .filter(([, value]) => value !== undefined)
      .map(([name]) => `--${name}`);
    if (unused.length > 0)
      throw new UsageError(`data pack: shards become one folder, got ${unused.join(' and ')}. Leave it out.`);
    const fetched = join(out, '.fetched');
    const cache = new ShardCache({ folder: fetched, maxBytes: 0 });
    packed = await packFolder(archives, out, { cache, transport, onProgress });
    if (transport.rank === 0) await rm(fetched, { recursive: true, force: true });
  }
  const kept = packed.kept > 0 ? `, ${packed.kept} of them packed before` : '';
  const way = archives === undefined ? 'into' : 'from';
  if (transport.rank > 0) return 0;
  console.log(`${packed.samples} samples ${way} ${packed.shards} shards${kept}: ${out}`);
  return 0;
}

/** Packs a folder into shards, or shards into a folder. */
export const packCommand: Command = command({
  name: 'data pack',
  operands: '<source> <folder>',
  help: 'Pack a folder with annotations.jsonl into shards, or shards into a folder; once more goes on after a stop',
  flags: PACK,
  hasRanks: true,
  run: pack,
});
