// What configuration files may hold. In the schemas a message is the rule: "<path> must be <message>, got <input>".
import * as v from 'valibot';
import { expectConfig } from './config.ts';

const rule = <T>(test: (x: unknown) => boolean, message: string): v.CustomSchema<T, string> =>
  v.custom<T, string>(test, message);

export const count: v.CustomSchema<number, string> = rule(
  (x) => Number.isSafeInteger(x) && Number(x) > 0,
  'a positive integer',
);
export const natural: v.CustomSchema<number, string> = rule(
  (x) => Number.isSafeInteger(x) && Number(x) >= 0,
  'a non-negative integer',
);
export const finite: v.CustomSchema<number, string> = rule((x) => Number.isFinite(x), 'a number');
export const positive: v.CustomSchema<number, string> = rule(
  (x) => Number.isFinite(x) && Number(x) > 0,
  'a positive number',
);
export const nonNegative: v.CustomSchema<number, string> = rule(
  (x) => Number.isFinite(x) && Number(x) >= 0,
  'a number of at least 0',
);
/** A chance that is never certain. */
export const rate: v.CustomSchema<number, string> = rule(
  (x) => Number.isFinite(x) && Number(x) >= 0 && Number(x) < 1,
  'in [0, 1)',
);
export const share: v.CustomSchema<number, string> = rule(
  (x) => Number.isFinite(x) && Number(x) >= 0 && Number(x) <= 1,
  'in [0, 1]',
);
export const flag: v.BooleanSchema<string> = v.boolean('true or false');
export const text: v.StringSchema<string> = v.string('a string');

/** Any number of items. */
export const list = <S extends v.GenericSchema>(item: S): v.ArraySchema<S, string> =>
  v.array(item, 'an array');

/** An object of these keys alone: another one would be left unused. */
export const onlyThese = <E extends v.ObjectEntries>(
  entries: E,
): v.StrictObjectSchema<E, (issue: v.StrictObjectIssue) => string> =>
  v.strictObject(entries, ({ expected }) =>
    expected === 'never' ? `absent: the keys are ${Object.keys(entries).join(', ')}` : 'an object',
  );

/**
 * What a schema makes of `json`.
 *
 * @param path  what holds it, for the message
 * @throws ConfigError naming the path of the first bad field
 */
export function check<S extends v.GenericSchema>(schema: S, json: unknown, path: string): v.InferOutput<S> {
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const where = [path, v.getDotPath(issue)].filter(Boolean).join('.');
  expectConfig(false, `${where} must be ${issue.message}`, JSON.stringify(issue.input) ?? 'nothing');
}
