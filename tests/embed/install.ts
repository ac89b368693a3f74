// Builds the package and installs it, packed, into a copy of an example project.
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root: string = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a program; its output. Rejects with the output when it fails. */
export async function execute(program: string, args: readonly string[], cwd: string): Promise<string> {
  const env = { XDG_RUNTIME_DIR: tmpdir(), ...process.env };
  const limits = { maxBuffer: 1 << 26, timeout: 300_000 };
  const run = promisify(execFile)(program, args, { cwd, env, ...limits });
  const { stdout, stderr } = await run.catch((error: Error & { stdout: string; stderr: string }) => {
    throw new Error(`${error.message}\n${error.stdout}\n${error.stderr}`);
  });
  return `${stdout}${stderr}`;
}

/** A new folder under the system's temporary one; the caller removes it. */
export function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'ps3-webgpu-'));
}

/** Builds into `folder`/dist and packs that to `folder`/ps3-webgpu.tgz. */
export async function packPackage(folder: string): Promise<void> {
  const loaders = ['--import', './engine/wgsl_loader.mjs', '--import', 'tsx'];
  await execute(process.execPath, [...loaders, 'engine/build.ts', join(folder, 'dist')], root);
  const packed = JSON.parse(
    (await execute('npm', ['pack', './dist', '--json', '--silent'], folder)).replace(/^npm warn.*$/gm, ''),
  ) as { filename: string }[];
  await rename(join(folder, packed[0].filename), join(folder, 'ps3-webgpu.tgz'));
}

/**
 * An example project with nothing around it but the examples: `folder`/package.json, node_modules, tests/embed/`name`.
 *
 * @param install  further words for `npm install`
 */
export async function installProject(
  folder: string,
  name: string,
  ...install: readonly string[]
): Promise<string> {
  const project = join(folder, name);
  const parts = ['engine/examples', 'ps3/examples', `tests/embed/${name}`, 'tests/embed/run_examples.ts'];
  for (const part of parts) await cp(join(root, part), join(project, part), { recursive: true });
  await cp(join(root, `tests/embed/${name}/package.json`), join(project, 'package.json'));
  await cp(join(folder, 'ps3-webgpu.tgz'), join(project, 'ps3-webgpu.tgz'));
  const quiet = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await execute('npm', ['install', ...quiet, ...install], project);
  return project;
}

/** Checks what run_examples.ts returned. */
export function expectExamples(printed: string): void {
  const line = printed.split('\n').findLast((text) => text.startsWith('{'));
  if (!line) throw new Error(`the examples must print their results, got: ${printed}`);
  const got = JSON.parse(line) as Record<'ownPass' | 'digits' | 'digitsByPatches', number> &
    Record<'swish' | 'attention', number[]> &
    Record<'rhyme', string>;
  const near = (a: number, b: number): boolean => Math.abs(a - b) < 1e-6;
  const sigmoid = 1 / (1 + Math.exp(-1));
  const facts = {
    'own pass: 1 * 9 + 10 * 25 + 100 * 49 + 1000 * 81': got.ownPass === 86_159,
    'swish of 0, 1, -1': [0, sigmoid, sigmoid - 1].every((want, i) => near(got.swish[i], want)),
    'equal attention averages what has come': [1, 0, 0.5, 0.5].every((want, i) =>
      near(got.attention[i], want),
    ),
    'two layers read 9 of 10 digits': got.digits > 0.9,
    'the language model has learnt its rhyme': got.rhyme === ' sat on the mat. the dog sat on the log. ',
    'the transformer reads 4 of 10 digits after 60 steps': got.digitsByPatches > 0.4,
  };
  for (const [fact, holds] of Object.entries(facts)) if (!holds) throw new Error(`${fact}: got ${line}`);
}
