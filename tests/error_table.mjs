// The error of every op against float64, per place: what tests/harness.ts measured, as tests/results/errors.json and errors.md.

import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { places } from './places.mjs';

const folder = join(dirname(fileURLToPath(import.meta.url)), 'results');

/** The errors that one run of an op's tests reports; none for other tests and for tests that failed. */
export function readErrors({ path, place, output, failed }) {
  const line = output.match(/^largest errors: values (\S+), gradients (\S+), on (.*)$/m);
  if (!line || failed || !path.startsWith('tests/ops/')) return [];
  const [, values, gradients, adapter] = line;
  const op = basename(path).replace(/(\.full)?\.test\.ts$/, '');
  return [{ op, place, adapter, values: Number(values), gradients: Number(gradients) }];
}

/** Writes the table. @throws Error when no op reported anything */
export function writeErrors(errors) {
  if (errors.length === 0) throw new Error('--errors: a test of tests/ops must have passed, got none.');
  const by = (a, b) => (a.op < b.op ? -1 : a.op > b.op ? 1 : order(a) - order(b));
  const order = ({ place }) => Object.keys(places).indexOf(place);
  const sorted = [...errors].sort(by);
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'errors.json'),
    `[\n${sorted.map((row) => `  ${JSON.stringify(row)}`).join(',\n')}\n]\n`,
  );
  writeFileSync(join(folder, 'errors.md'), markdown(sorted));
}

/** Values and gradients of every op, one column per place. */
function markdown(rows) {
  const columns = Object.keys(places).filter((name) => rows.some(({ place }) => place === name));
  const ops = [...new Set(rows.map(({ op }) => op))];
  const cell = (op, place) => {
    const row = rows.find((candidate) => candidate.op === op && candidate.place === place);
    return row
      ? [row.values, row.gradients].map((x) => (x < 0 ? '–' : x === 0 ? '0' : x.toExponential(1))).join(' / ')
      : '';
  };
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [
    'Largest error of values / of gradients over all shapes of the tests, as a part of the largest magnitude of the tensor (of 0.01 where',
    'that is smaller): values against the float64 twin, gradients against its central differences.',
    '',
    line(['op', ...columns]),
    line(['---', ...columns.map(() => '---:')]),
    ...ops.map((op) => line([op, ...columns.map((place) => cell(op, place))])),
    '',
    ...columns.map(
      (name) => `- \`${name}\`: ${places[name].is}; ${rows.find(({ place }) => place === name).adapter}`,
    ),
    '',
  ].join('\n');
}
