// Tiles of 256 x 128 on matrix units, a transposed.
import { test } from 'uvu';
import { testWideTiles } from './tiles_on_units.ts';

testWideTiles(true);

test.run();
