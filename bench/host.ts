// The only place of the benchmark that knows Node. Deno has the same modules; a page has none of them.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { type Certificate, EngineError, makeFolder } from '../engine/index.ts';
import { formatDevices, parseCertificate } from './devices.ts';
import type { PeerUrls } from './peers/open.ts';
import {
  type BenchResult,
  type ForeignResult,
  formatResults,
  formatSummary,
  parseForeign,
  parseResult,
  ReportError,
  rewriteBlock,
} from './report.ts';

process.env.XDG_RUNTIME_DIR ??= tmpdir(); // or the Vulkan loader complains

const root = fileURLToPath(new URL('..', import.meta.url));
/** Beside the command, in an archive too. */
const peersFolder = fileURLToPath(new URL('peers', import.meta.url));

/** Words of the command line after the script. */
export function commandLine(): string[] {
  return process.argv.slice(2);
}

/** 'node 20.20.2'. */
export function runtimeName(): string {
  const { deno, node } = process.versions;
  return deno ? `deno ${deno}` : `node ${node}`;
}

/** Whether WebGPU comes from a package, and not with the runtime. */
export function runsNode(): boolean {
  return !process.versions.deno;
}

const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

/** Of the libraries in bench/peers. */
export async function peerVersions(): Promise<Record<string, string>> {
  return (await readJson(peersFolder, 'package.json')).dependencies;
}

/** What the numbers depend on, besides adapter and runtime. */
export async function versions(withPeers: boolean): Promise<Record<string, string>> {
  const found: Record<string, string> = { 'ps3-webgpu': (await readJson(root, 'package.json')).version };
  if (runsNode()) found.webgpu = (await readJson(root, 'node_modules/webgpu/package.json')).version;
  if (withPeers) Object.assign(found, await peerVersions());
  found.platform = `${process.platform} ${process.arch}`;
  // A software adapter is as fast as the processor that it runs on.
  const processors = cpus();
  if (processors.length > 0) found.cpu = `${processors.length} x ${processors[0].model.trim()}`;
  return found;
}

/**
 * Installs the libraries to compare with in bench/peers, unless they are there in the versions of its lock file.
 *
 * @throws EngineError when npm cannot, or where there are no peers
 */
export function installPeers(): PeerUrls {
  const folder = peersFolder;
  const modules = join(folder, 'node_modules');
  const [lock, installed] = [join(folder, 'package-lock.json'), join(modules, '.cache/package-lock.json')];
  if (!existsSync(lock))
    throw new EngineError(
      'peers',
      `bench: --peers must find ${lock}, got no such file. Run it in a checkout of the repository or in an archive made by npm run bench:bundle -- --peers.`,
    );
  if (!existsSync(installed) || readFileSync(lock, 'utf8') !== readFileSync(installed, 'utf8')) {
    for (const command of ['ci --ignore-scripts --no-audit --no-fund', 'run bundle']) {
      console.log(`npm ${command} (bench/peers)`);
      const { status } = spawnSync(`npm ${command}`, { cwd: folder, stdio: 'inherit', shell: true });
      if (status !== 0)
        throw new EngineError(
          'peers',
          'bench: npm could not install the libraries of bench/peers (its message is above; usually no network). Run without --peers, or again when that is solved.',
        );
    }
    copyFileSync(lock, installed);
  }
  // Node's V8 would optimise the 27 MB of ONNX Runtime while it is measured, for half a minute on two cores.
  if (runsNode()) setFlagsFromString('--liftoff-only');
  const url = (path: string): string => pathToFileURL(join(modules, path)).href;
  return {
    jax: url('@jax-js/jax/dist/index.js'),
    tfjs: url('.cache/tfjs.cjs'),
    ort: url('onnxruntime-web/dist/ort.webgpu.bundle.min.mjs'),
  };
}

/** @throws ReportError when the file is missing or holds no rows */
export async function readForeign(path: string): Promise<ForeignResult> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new ReportError(`bench: --merge must name a file, got ${path}.`);
    throw error;
  });
  return parseForeign(path, text);
}

/** Writes text; folders are made as needed. */
export async function writeText(path: string, text: string): Promise<void> {
  await makeFolder(dirname(path));
  await writeFile(path, text);
}

/**
 * All results of a folder, in the order of their files' names; none when there is no folder.
 *
 * @throws ReportError when a file is not what it should be
 */
export function storedResults(folder: string): Promise<BenchResult[]> {
  return stored(folder, parseResult);
}

/**
 * All certificates of a folder, likewise.
 *
 * @throws ReportError when a file is not what it should be
 */
export function storedCertificates(folder: string): Promise<Certificate[]> {
  return stored(folder, parseCertificate);
}

async function stored<T>(folder: string, parse: (path: string, text: string) => T): Promise<T[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const paths = names.filter((name) => name.endsWith('.json')).sort();
  return Promise.all(paths.map(async (name) => parse(name, await readFile(join(folder, name), 'utf8'))));
}

/**
 * Rewrites the tables of both READMEs from all results of a folder and the certificates of bench/devices.
 *
 * @throws ReportError when there are none, or a file is not what it should be
 */
export async function writeReport(root: string, folder: string): Promise<void> {
  const results = await storedResults(folder);
  if (results.length === 0)
    throw new ReportError(
      `report: ${folder} must hold results, got none. Write one with: npm run bench -- --json FILE`,
    );
  const started = (await readFile(join(folder, 'npm-start.txt'), 'utf8')).trimEnd();
  await rewrite(join(root, 'bench/README.md'), { bench: formatResults(results) });
  await rewrite(join(root, 'README.md'), {
    bench: formatSummary(results),
    devices: formatDevices(await storedCertificates(join(root, 'bench/devices'))),
    start: `\`\`\`\n${started}\n\`\`\``,
    nano: `\`\`\`\n${await nanoResults(root)}\n\`\`\``,
    study: await studyResults(root),
  });
}

/** What evaluating nano-4k printed first: names and selection. */
async function nanoResults(root: string): Promise<string> {
  const printed = await readFile(join(root, 'ps3/checkpoints/nano-4k/evaluation.txt'), 'utf8');
  return printed.split('\n\n').slice(0, 3).join('\n\n');
}

/** The first sentence and the table of the quick study. */
async function studyResults(root: string): Promise<string> {
  const summary = await readFile(join(root, 'bench/study/results/quick.md'), 'utf8');
  return summary.split('\n\n').slice(2, 5).join('\n\n');
}

/** Replaces blocks of a page, by their names. */
async function rewrite(path: string, blocks: Readonly<Record<string, string>>): Promise<void> {
  let page = await readFile(path, 'utf8');
  for (const name in blocks) page = rewriteBlock(page, name, blocks[name]);
  await writeFile(path, page);
}

/** A path below the repository's root. */
export function rootPath(path: string): string {
  return join(root, path);
}

/** Ends the process at once: Dawn's threads would keep it alive. */
export function exit(code: number): never {
  process.exit(code);
}
