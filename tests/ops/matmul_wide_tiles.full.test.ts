// Tiles of 256 x 128 on matrix units, a as it is.
import { test } from 'uvu';
import { testWideTiles } from './tiles_on_units.ts';

testWideTiles(false);

test.run();
