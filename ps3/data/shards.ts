// Two parallel WebDataset collections with the same shard and sample order, as the official trainer reads
// them:
//
//   DIR/images/00000.tar        00000000.jpg, 00000001.jpg, ...
//   DIR/annotations/00000.tar   00000000.json, 00000001.json, ...
//
// The key of a sample is its file name without the suffix; keys of the two collections must agree.
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createTarDecoder } from 'modern-tar';
import { makeFolder } from '../../engine/index.ts';
import {
  type Annotation,
  annotationJson,
  decodeAnnotated,
  parseAnnotation,
  type Sample,
} from './annotations.ts';
import { DataError } from './errors.ts';
import { isImageName } from './image_files.ts';
import { type FileToArchive, writeTar } from './tar_writer.ts';

/** An encoded image with its annotation. */
export interface EncodedSample extends Annotation {
  key: string;
  /** Encoded image. */
  image: Uint8Array;
  /** Its suffix without the dot, e.g. `jpg`. */
  suffix: string;
}

interface TarFile {
  key: string;
  name: string;
  bytes: Uint8Array;
}

/**
 * Writes samples into the two collections.
 *
 * @param samplesPerShard  samples in each pair of archives but the last
 * @returns                number of pairs
 */
export async function writeShards(
  folder: string,
  samples: AsyncIterable<EncodedSample> | Iterable<EncodedSample>,
  samplesPerShard: number,
): Promise<number> {
  if (!Number.isInteger(samplesPerShard) || samplesPerShard < 1) {
    throw new DataError(
      `writeShards: samples per shard must be a whole number from 1, got ${samplesPerShard}.`,
    );
  }
  let shard = 0;
  let waiting: EncodedSample[] = [];
  for await (const sample of samples) {
    waiting.push(sample);
    if (waiting.length < samplesPerShard) continue;
    await writeShard(folder, shard++, waiting);
    waiting = [];
  }
  if (waiting.length > 0) await writeShard(folder, shard++, waiting);
  return shard;
}

/** Writes one pair of archives. */
export async function writeShard(
  folder: string,
  shard: number,
  samples: readonly EncodedSample[],
): Promise<void> {
  const name = `${String(shard).padStart(5, '0')}.tar`;
  const write = async (
    collection: 'images' | 'annotations',
    fileOf: (sample: EncodedSample) => FileToArchive,
  ) => {
    await makeFolder(join(folder, collection));
    await writeTar(join(folder, collection, name), samples.map(fileOf));
  };
  await write('images', ({ key, suffix, image }) => ({ name: `${key}.${suffix}`, content: image }));
  await write('annotations', (sample) => ({
    name: `${sample.key}.json`,
    content: JSON.stringify(annotationJson(sample)),
  }));
}

/** The wanted files of an archive, in order, one in memory at a time. */
async function* readTar(path: string, isWanted: (name: string) => boolean): AsyncGenerator<TarFile> {
  const bytes = Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array>;
  try {
    for await (const { header, body } of bytes.pipeThrough(createTarDecoder({ strict: true }))) {
      const name = header.name.slice(header.name.lastIndexOf('/') + 1);
      if (header.type !== 'file' || !isWanted(name)) {
        await body.cancel();
        continue;
      }
      const key = name.slice(0, name.indexOf('.'));
      yield { key, name, bytes: new Uint8Array(await new Response(body).arrayBuffer()) };
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new DataError(
      `readShards: ${path} must be a whole tar archive, got: ${reason}. Write or copy it again.`,
    );
  }
}

function parseJson(file: TarFile, where: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file.bytes));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DataError(`readShards: ${where} must be JSON in UTF-8, got: ${reason}. Write the shard again.`);
  }
}

function listShards(folder: string): string[] {
  const list = (collection: string): string[] => {
    const path = join(folder, collection);
    return existsSync(path)
      ? readdirSync(path)
          .filter((name) => /^[^.].*\.tar$/.test(name))
          .sort()
      : [];
  };
  const [images, annotations] = [list('images'), list('annotations')];
  if (images.length === 0 || images.join() !== annotations.join()) {
    throw new DataError(
      `readShards: images/ and annotations/ must hold archives of the same names, got [${images.join(', ')}] and [${annotations.join(', ')}] in ${folder}.`,
    );
  }
  return images;
}

/**
 * Reads the two collections side by side.
 *
 * @throws DataError when keys differ, a collection ends early, or an annotation is wrong; the message names
 *         both entries
 */
export async function* readShards(folder: string): AsyncGenerator<EncodedSample> {
  for (const name of listShards(folder)) {
    const annotationPath = join(folder, 'annotations', name);
    const images = readTar(join(folder, 'images', name), isImageName);
    const annotations = readTar(annotationPath, (file) => /^[^.].*\.json$/i.test(file));
    for (;;) {
      const [image, annotation] = await Promise.all([images.next(), annotations.next()]);
      if (image.done === true && annotation.done === true) break;
      const imageName = image.done === true ? 'the end' : image.value.name;
      const annotationName = annotation.done === true ? 'the end' : annotation.value.name;
      if (image.done === true || annotation.done === true || image.value.key !== annotation.value.key) {
        throw new DataError(
          `readShards: image and annotation keys must agree, got ${imageName} and ${annotationName} in ${folder}, shard ${name}. Write both collections in one order.`,
        );
      }
      const where = `${annotationPath}: ${annotationName}`;
      const suffix = imageName.slice(imageName.lastIndexOf('.') + 1);
      const truth = parseAnnotation(parseJson(annotation.value, where), where);
      yield { key: image.value.key, image: image.value.bytes, suffix, ...truth };
    }
  }
}

/** Decodes a sample of a shard, squashed to a square, boxes checked and scaled along. */
export function decodeSample(sample: EncodedSample, side: number): Promise<Sample> {
  return decodeAnnotated(sample.image, sample, side, `${sample.key}.${sample.suffix}`);
}
