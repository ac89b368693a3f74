// A folder of images with annotations.jsonl, as for training: what its captions name is to be found.
import { ANNOTATION_FILE, openFolder } from '../../data/folder.ts';
import type { UnmeasuredRecord } from '../record.ts';
import { type Row, rowError } from '../rows/rows.ts';

/** Captions that are names of kinds are categories; sentences, of which there are more, are not. */
const MOST_CATEGORIES = 20;

/** Files by which it is known. */
export const ANNOTATED_FILES: readonly string[] = [ANNOTATION_FILE];

/** @throws DataError always: boxes of a folder alone are read */
export function annotatedRow({ where }: Row): UnmeasuredRecord {
  throw rowError(where, `a folder must hold ${ANNOTATION_FILE}`, 'a table', 'Name the folder.');
}

/**
 * A question for each different caption of an image, with all its boxes.
 *
 * @throws DataError as `openFolder`
 */
export async function* annotatedFolder(
  folder: string,
): AsyncGenerator<{ record: UnmeasuredRecord; where: string }> {
  const images = await openFolder(folder);
  const names = new Set(images.flatMap(({ captions }) => captions));
  for (const { key, path, width, height, captions, boxes } of images)
    for (const name of new Set(captions)) {
      const own = boxes.filter((_, i) => captions[i] === name);
      const record: UnmeasuredRecord = {
        ...{ id: `${key}: ${name}`, image: path, width, height, group: key, question: name },
        ...(names.size <= MOST_CATEGORIES && { category: name }),
        ...{ answer: [], metric: 'point', boxes: own, referents: own.map(() => name) },
      };
      yield { record, where: `${folder}: ${key}` };
    }
}
