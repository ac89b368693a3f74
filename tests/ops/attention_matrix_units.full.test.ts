// A CPU compiles these for minutes.
import { test } from 'uvu';
import { compareOnMatrixUnits } from './attention_on_units.ts';

// A head that ends within a matrix, behind cached keys; and more keys than two tiles have.
for (const sizes of [
  [33, 7, 41, 12],
  [5, 0, 70, 8],
])
  test(`attention on matrix units: ${sizes.join(', ')} queries, cached keys, keys and elements: output and gradients match the twin`, () =>
    compareOnMatrixUnits(sizes));

test.run();
