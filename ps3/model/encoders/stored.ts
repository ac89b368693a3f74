// Features that some encoder has written to a safetensors file.
import { openSafetensors } from '../../../engine/index.ts';
import { type ImagePart, type OtherEncoder, unitVector } from './encoder.ts';
import { EncoderError } from './errors.ts';

/**
 * Features in a safetensors file: `image/ID` and, for crops of the boxes, `crop/ID`, where ID is the question's; `text/TEXT`
 * for every option. Any shape and dtype of E numbers, normalised or not.
 *
 * @throws SafetensorsError, and EncoderError for a file without features of images or of texts
 */
export async function openStored(name: string, path: string): Promise<OtherEncoder> {
  const file = await openSafetensors(path);
  const has = (kind: string): boolean => [...file.tensors.keys()].some((key) => key.startsWith(`${kind}/`));
  const parts = (['image', 'crop'] as const).filter(has);
  if (parts.length === 0 || !has('text')) {
    const first = [...file.tensors.keys()].slice(0, 3).join(', ') || 'none';
    await file.close();
    throw new EncoderError(
      `encoder: ${path} must hold tensors image/ID or crop/ID and text/TEXT, got ${first}. Name them by the ids and options of the benchmark.`,
    );
  }
  const feature = async (key: string): Promise<Float32Array> => {
    if (!file.tensors.has(key))
      throw new EncoderError(`encoder: ${path} must hold ${key}, got ${file.tensors.size} others. Add it.`);
    return unitVector(await file.f32(key));
  };
  return {
    name,
    parts,
    imageFeature: (id: string, part: ImagePart) => feature(`${part}/${id}`),
    textFeatures: (texts) => Promise.all(texts.map((text) => feature(`text/${text}`))),
    [Symbol.asyncDispose]: () => file.close(),
  };
}
