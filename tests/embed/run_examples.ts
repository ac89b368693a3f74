// What the projects in Deno and in a page run on the installed package.
import type { Engine } from 'ps3-webgpu/engine';
import { attendTokenByToken } from '../../engine/examples/cached_attention.ts';
import { readDigits } from '../../engine/examples/digits.ts';
import { makeSwish } from '../../engine/examples/own_kernel.ts';
import { ownPass } from '../../engine/examples/own_pass.ts';
import { readDigitsByPatches } from '../../engine/examples/vit.ts';
import { sayRhyme } from '../../ps3/examples/tiny_language_model.ts';

/** Results of the examples as JSON. */
export async function runExamples(engine: Engine): Promise<string> {
  const values = Float32Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1); // no queries and keys, values as they are
  return JSON.stringify({
    ownPass: await ownPass(engine.gpu.device),
    swish: [...(await makeSwish(engine)(engine.tensor([0, 1, -1])).data())],
    attention: [...(await attendTokenByToken(engine, Float32Array.of(1, 0, 0, 1), values, 1))],
    digits: await readDigits(engine, 100),
    rhyme: await sayRhyme(engine),
    digitsByPatches: await readDigitsByPatches(engine, 60),
  });
}
