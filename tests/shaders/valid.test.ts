// Every shader with its imports is valid WGSL as it stands: what the host defines are choices, not repairs.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { specialise } from '../../engine/gpu/specialise.ts';
import { reflect } from '../../engine/wgsl.ts';
import { engine } from '../harness.ts';

const root = fileURLToPath(new URL('../../shaders', import.meta.url));
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.wgsl') && !file.startsWith('lib'))
  .sort();

const { device } = engine.gpu;

/** The WGSL extensions that a text enables and the device lacks. */
function missing(text: string): string[] {
  const features: Readonly<Record<string, string>> = {
    f16: 'shader-f16',
    subgroups: 'subgroups',
    chromium_experimental_subgroup_matrix: 'chromium-experimental-subgroup-matrix',
  };
  const enabled = [...text.matchAll(/enable (\w+);/g)].map(([, name]) => features[name]);
  const offered: ReadonlySet<string> = device.features;
  return enabled.filter((feature) => !offered.has(feature));
}

/** Compiles the entries of a text; says what the device refuses. */
async function compiled(text: string, entries: readonly string[]): Promise<string[]> {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: text });
  const { messages } = await module.getCompilationInfo();
  const faults = messages.filter(({ type }) => type === 'error').map(({ message }) => message);
  if (faults.length === 0)
    for (const entryPoint of entries)
      await device
        .createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint } })
        .catch((error: Error) => faults.push(`${entryPoint}: ${error.message}`));
  await device.popErrorScope();
  return faults;
}

for (const file of files) {
  const shader = reflect(readFileSync(join(root, file), 'utf8'));
  const others = Object.values({ '': shader.text, ...shader.fragments }).flatMap((text) =>
    [...text.matchAll(/^#import (\w+) or (\w+)/gm)].map(([, one, other]) => ({ [one]: other })),
  );
  for (const bodies of [{}, ...others])
    test(`shaders: ${file} compiles as it stands${Object.values(bodies).map((name) => ` with ${name}`)}`, async () => {
      const text = specialise(file, shader, bodies, false);
      const lacks = missing(text);
      if (lacks.length > 0) console.log(`skipped: needs ${lacks.join(', ')}`);
      else assert.equal(await compiled(text, Object.keys(shader.entries)), []);
    });
}

test.run();
