// The only place of the benchmark that knows Node. Deno has the same modules; a page has none of them.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseResult, ReportError, rewriteReport } from './report.ts';

process.env.XDG_RUNTIME_DIR ??= tmpdir(); // or the Vulkan loader complains

const root = fileURLToPath(new URL('..', import.meta.url));

/** Words of the command line after the script. */
export function commandLine(): string[] {
  return process.argv.slice(2);
}

/** 'node 20.20.2'. */
export function runtimeName(): string {
  const { deno, node } = process.versions;
  return deno ? `deno ${deno}` : `node ${node}`;
}

/** What the numbers depend on, besides adapter and runtime. */
export async function versions(): Promise<Record<string, string>> {
  const versionOf = async (path: string): Promise<string> =>
    JSON.parse(await readFile(join(root, path), 'utf8')).version;
  const found: Record<string, string> = { 'ps3-webgpu': await versionOf('package.json') };
  if (!process.versions.deno) found.webgpu = await versionOf('node_modules/webgpu/package.json');
  return { ...found, platform: `${process.platform} ${process.arch}` };
}

/** Writes text; folders are made as needed. */
export async function writeText(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

/**
 * Rewrites the table of a README from all results of a folder, in the order of their files' names.
 *
 * @throws ReportError when there are none, or a file is not what it should be
 */
export async function writeReport(readme: string, folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const paths = names.filter((name) => name.endsWith('.json')).sort();
  if (paths.length === 0)
    throw new ReportError(
      `report: ${folder} must hold results, got none. Write one with: npm run bench -- --json FILE`,
    );
  const results = await Promise.all(
    paths.map(async (name) => parseResult(name, await readFile(join(folder, name), 'utf8'))),
  );
  await writeFile(readme, rewriteReport(await readFile(readme, 'utf8'), results));
}

/** A path below the repository's root. */
export function rootPath(path: string): string {
  return join(root, path);
}

/** Ends the process at once: Dawn's threads would keep it alive. */
export function exit(code: number): never {
  process.exit(code);
}
