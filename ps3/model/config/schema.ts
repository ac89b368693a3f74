// What configuration files may hold. In the schemas a message is the rule: "<path> must be <message>, got <input>".
import * as v from 'valibot';
import { expectConfig } from './config.ts';

type NumberSchema = v.CustomSchema<number, string>;

/** A finite number that passes a test. */
const number = (test: (x: number) => boolean, message: string): NumberSchema =>
  v.custom<number, string>((x) => typeof x === 'number' && Number.isFinite(x) && test(x), message);

export const count: NumberSchema = number((x) => Number.isSafeInteger(x) && x > 0, 'a positive integer');
export const natural: NumberSchema = number(
  (x) => Number.isSafeInteger(x) && x >= 0,
  'a non-negative integer',
);
export const finite: NumberSchema = number(() => true, 'a number');
export const positive: NumberSchema = number((x) => x > 0, 'a positive number');
export const nonNegative: NumberSchema = number((x) => x >= 0, 'a number of at least 0');
/** A chance that is never certain. */
export const rate: NumberSchema = number((x) => x >= 0 && x < 1, 'in [0, 1)');
export const share: NumberSchema = number((x) => x >= 0 && x <= 1, 'in [0, 1]');
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

/**
 * What is wrong with an object of named fields, as the middle of a sentence: `it must have \`name\`, got nothing`.
 *
 * @param fields  those that it may have
 */
export function fieldFault(issue: v.BaseIssue<unknown>, fields: readonly string[]): string {
  const key = v.getDotPath(issue);
  const got = issue.input === undefined ? 'nothing' : JSON.stringify(issue.input);
  if (key === null || issue.type !== 'strict_object')
    return `${key ?? 'it'} must be ${issue.expected}, got ${got}`;
  return fields.includes(key)
    ? `it must have \`${key}\`, got nothing`
    : `it must not have \`${key}\`, got it`;
}
