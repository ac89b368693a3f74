// Downloads and unpacks one package of npm or Debian into the cache folder. The package managers
// choose the mirror, follow the user's proxy settings and check the hash.
//
//   CACHE/npm/NAME@VERSION/...       CACHE/apt/NAME/...
//
// A package is unpacked under a temporary name and renamed when it is complete, so a folder that exists is
// whole, and a machine without a network uses the packages that it has.
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { unpackTar } from 'modern-tar';
import { makeFolder } from '../../engine/index.ts';
import { DataError } from './errors.ts';

/** Called with one line before a step that may take seconds. */
export type Notice = (line: string) => void;

/** A package that is unpacked in the cache. */
export interface UnpackedPackage {
  /** Folder that holds the package's files. */
  root: string;
  name: string;
  version: string;
  manager: 'npm' | 'apt';
}

/** The cache folder: `PS3_CACHE`, or `.cache/sources` at the top of the repository. */
export function cacheFolder(): string {
  const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
  return resolve(process.env.PS3_CACHE ?? join(repository, '.cache/sources'));
}

function runCommand(command: string, args: readonly string[], cwd: string): SpawnSyncReturns<string> {
  return spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    shell: process.platform === 'win32',
    env: { ...process.env, LC_ALL: 'C', npm_config_loglevel: 'error' },
  });
}

function lastLine(result: SpawnSyncReturns<string>): string {
  if (result.error) return result.error.message;
  const lines = `${result.stdout}\n${result.stderr}`.split('\n').filter((line) => line.trim() !== '');
  return (
    lines.findLast((line) => /error|E:|code/i.test(line)) ??
    lines.at(-1) ??
    `exit code ${result.status}`
  ).trim();
}

/** Fills `target` through `fill(folder)`: temporary name first, renamed when `fill` returns. */
async function whole(target: string, fill: (folder: string) => void | Promise<void>): Promise<void> {
  await makeFolder(dirname(target));
  const partial = mkdtempSync(`${target}.partial-`);
  try {
    await fill(partial);
    // A second process may have been faster; its folder is as good.
    if (!existsSync(target)) renameSync(partial, target);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/**
 * An npm package, unpacked in the cache; only files whose path in the package passes `keep` are written.
 *
 * @param spec  `name@version`
 * @throws DataError when npm cannot download it
 */
export async function npmPackage(
  spec: string,
  keep: (path: string) => boolean,
  notice: Notice,
): Promise<UnpackedPackage> {
  const at = spec.lastIndexOf('@');
  const name = spec.slice(0, at);
  const version = spec.slice(at + 1);
  const root = join(cacheFolder(), 'npm', spec.replace('/', '+'));
  if (!existsSync(root)) {
    notice(`downloading ${spec} with npm`);
    await whole(root, async (folder) => {
      const result = runCommand(
        'npm',
        ['pack', spec, '--ignore-scripts', '--pack-destination', folder],
        folder,
      );
      const archive = readdirSync(folder).find((file) => file.endsWith('.tgz'));
      if (result.status !== 0 || archive === undefined) {
        throw new DataError(
          `npmPackage: npm must be able to pack ${spec}, got: ${lastLine(result)}. Check the network and npm's registry setting, or copy a filled cache and set PS3_CACHE to it.`,
        );
      }
      const archivePath = join(folder, archive);
      for (const entry of await unpackTar(gunzipSync(readFileSync(archivePath)))) {
        const path = entry.header.name.replace(/^[^/]+\//, '');
        if (entry.header.type !== 'file' || !entry.data || !keep(path)) continue;
        if (path.split('/').includes('..')) continue;
        await makeFolder(dirname(join(folder, path)));
        writeFileSync(join(folder, path), entry.data);
      }
      rmSync(archivePath);
    });
  }
  return { root, name, version, manager: 'npm' };
}

/** A font file with the family's name. */
export interface FontFile {
  readonly name: string;
  readonly path: string;
}

const FONT_VERSION = '5.3.0';

/**
 * The Latin letters of a font, from Fontsource's package.
 *
 * @param name  as the package is called: `work-sans`
 * @throws DataError when npm cannot download it
 */
export async function npmFont(
  name: string,
  notice: Notice,
): Promise<FontFile & { unpacked: UnpackedPackage }> {
  const file = `files/${name}-latin-400-normal.woff2`;
  const keep = (path: string): boolean => path === file || path === 'LICENSE';
  const unpacked = await npmPackage(`@fontsource/${name}@${FONT_VERSION}`, keep, notice);
  return { name, path: join(unpacked.root, file), unpacked };
}

/** Whether this machine can download Debian packages. */
export function hasApt(): boolean {
  return process.platform === 'linux' && spawnSync('apt-get', ['--version']).status === 0;
}

function downloadDeb(name: string, folder: string, notice: Notice): void {
  let result = runCommand('apt-get', ['download', name], folder);
  if (result.status !== 0 && process.getuid?.() === 0) {
    notice('refreshing the package lists with apt-get update');
    runCommand('apt-get', ['update'], folder);
    result = runCommand('apt-get', ['download', name], folder);
  }
  if (result.status !== 0) {
    throw new DataError(
      `aptPackage: apt-get must be able to download ${name}, got: ${lastLine(result)}. Run \`sudo apt-get update\` once, or name a folder of your own photographs with --photos DIR.`,
    );
  }
}

/** Unpacks a .deb: with dpkg-deb, or where it is missing with ar and tar. */
function unpackDeb(deb: string, folder: string): void {
  let result = runCommand('dpkg-deb', ['-x', deb, folder], folder);
  if (result.error) {
    const members = runCommand('ar', ['t', deb], folder).stdout ?? '';
    const inner = members.split('\n').find((member) => member.startsWith('data.tar')) ?? 'data.tar.xz';
    runCommand('ar', ['x', deb, inner], folder);
    result = runCommand('tar', ['-x', '-f', inner], folder);
    rmSync(join(folder, inner), { force: true });
  }
  if (result.status !== 0) {
    throw new DataError(
      `aptPackage: ${basename(deb)} must unpack with dpkg-deb or with ar and tar, got: ${lastLine(result)}. Install dpkg or binutils, tar and xz-utils.`,
    );
  }
}

/**
 * A Debian package, unpacked in the cache without root and without installing it.
 *
 * @throws DataError when apt cannot download it; the message says what to do
 */
export async function aptPackage(name: string, notice: Notice): Promise<UnpackedPackage> {
  const root = join(cacheFolder(), 'apt', name);
  if (!existsSync(root)) {
    notice(`downloading ${name} with apt-get`);
    await whole(root, (folder) => {
      downloadDeb(name, folder, notice);
      const deb = readdirSync(folder).find((file) => file.endsWith('.deb'));
      if (deb === undefined)
        throw new DataError(`aptPackage: apt-get download ${name} must leave a .deb, got none.`);
      unpackDeb(join(folder, deb), folder);
      const version = decodeURIComponent(deb.split('_')[1] ?? 'unknown');
      writeFileSync(join(folder, 'VERSION'), version);
      rmSync(join(folder, deb));
    });
  }
  return { root, name, version: readFileSync(join(root, 'VERSION'), 'utf8'), manager: 'apt' };
}
