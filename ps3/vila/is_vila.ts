// What kind of model a place holds, for what loads either; apart from what loads one, which a page fetches when it is needed.
import { readJsonIfThere } from '../model/checkpoint/checkpoint.ts';
import { type CheckpointSource, checkpointFiles } from '../model/checkpoint/files.ts';

/** `model_type` of a VILA-HD's config.json. */
export const MODEL_TYPE = 'llava_topdown_llama';

/** Whether a place holds a VILA-HD, by its config.json. @throws ConfigError for one that is no JSON */
export async function isVila(source: CheckpointSource): Promise<boolean> {
  const json = await readJsonIfThere(checkpointFiles(source), 'config.json');
  return (json as { model_type?: unknown } | null | undefined)?.model_type === MODEL_TYPE;
}
