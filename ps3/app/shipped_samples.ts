// The images that go with the models of this package.
import { fileURLToPath } from 'node:url';
import { readTextFile, type UrlLike } from '../../engine/index.ts';
import type { AnnotationJson } from '../data/annotations.ts';

/** A sample as it is stored: its file beside the others, captions, and boxes in pixels. */
export type StoredSample = AnnotationJson & { readonly image: string };

/** The folder of the samples of a model. @param model  its folder */
export const samplesFolder = (model: UrlLike): URL => new URL('samples/', model.href);

/** The samples that go with a model. @param model  its folder */
export async function shippedSamples(model: UrlLike): Promise<StoredSample[]> {
  const lines = await readTextFile(fileURLToPath(new URL('annotations.jsonl', samplesFolder(model))));
  return lines
    .trim()
    .split('\n')
    .map((line): StoredSample => JSON.parse(line));
}
