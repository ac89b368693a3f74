// Brings a fresh machine to a working state: npm packages, then a WebGPU adapter.
//
// `npm start` and `npm test` run this first, so it is plain Node without imports from npm. On a prepared machine it
// reads two lock files and one stamp, and touches nothing. What it cannot do itself ends in one sentence that says
// which command does it, and exit code 1.

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampPath = join(root, 'node_modules/.cache/ps3-webgpu/adapter.txt');

/** Ends the process with a sentence for the reader instead of a stack trace. */
class SetupError extends Error {}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new SetupError(
    `Node 20.19 or newer is needed, got ${process.versions.node}. See https://nodejs.org/en/download`,
  );
}

/** The parsed file, or null when it does not exist. */
function readJson(path) {
  const text = readText(path);
  return text === null ? null : JSON.parse(text);
}

/** The file's text, or null when it does not exist. Any other failure is an error. */
function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw error;
  }
}

/** A test for packages that name this machine's `os`, `cpu` and `libc`: npm installs those although they are optional. */
function machineTest() {
  const libcHere = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
  return ({ os = [], cpu = [], libc = [libcHere] }) =>
    os.includes(process.platform) && cpu.includes(process.arch) && libc.includes(libcHere);
}

/** True when every package of package-lock.json that this machine needs is installed in its locked version. */
function packagesAreInstalled() {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages ?? {};
  const installed = readJson(join(root, 'node_modules/.package-lock.json'))?.packages;
  if (!installed) return false;
  const isForThisMachine = machineTest();
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' ||
      (installed[path]?.version === entry.version && existsSync(join(root, path))) ||
      (entry.optional && !installed[path] && !isForThisMachine(entry)),
  );
}

function installPackages() {
  const folder = lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false });
  if (folder?.isSymbolicLink()) return; // it belongs to another checkout, which npm ci would empty
  if (packagesAreInstalled()) return;
  const args = ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund'];
  say(`installing the packages of package-lock.json (npm ${args.join(' ')})`);
  const { status } = spawnSync('npm', args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) {
    throw new SetupError(
      `npm could not install the packages (its message is above; usually no network). ` +
        `When that is solved, run again: npm ci --ignore-scripts`,
    );
  }
}

const probe = `
import { create } from 'webgpu';
const adapter = await create([]).requestAdapter();
const { vendor, device, description } = adapter?.info ?? {};
if (adapter) console.log('adapter: ' + [vendor, device, description].filter(Boolean).join(', '));
process.exit(0);`;

/** Name of the adapter that WebGPU gives in a separate process, or null. A crash in a driver counts as none. */
function probeAdapter() {
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', probe], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR || tmpdir() }, // or the Vulkan loader complains
    timeout: 60_000,
  });
  return stdout?.match(/^adapter: (.*)$/m)?.[1] ?? null;
}

/** Everything whose change may change the adapter: webgpu, this boot, the Vulkan loader and the installed drivers. */
function adapterKey() {
  const places = ['/usr/share', '/usr/local/share', '/etc', join(process.env.HOME ?? '/', '.local/share')];
  const files = [
    ...places
      .map((place) => join(place, 'vulkan/icd.d'))
      .flatMap((dir) => [dir, ...list(dir).map((f) => join(dir, f))]),
    ...['x86_64', 'aarch64'].map((cpu) => `/usr/lib/${cpu}-linux-gnu/libvulkan.so.1`),
  ];
  return [
    readJson(join(root, 'node_modules/webgpu/package.json'))?.version,
    readText('/proc/sys/kernel/random/boot_id')?.trim(),
    process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES,
    ...files.map((file) => `${file} ${statSync(file, { throwIfNoEntry: false })?.mtimeMs}`),
  ].join('\n');
}

function list(dir) {
  return statSync(dir, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(dir).sort() : [];
}

/** Saves the next call the probe (about 0.5 s), where the folder can be written. */
function keepStamp() {
  try {
    mkdirSync(dirname(stampPath), { recursive: true });
    writeFileSync(stampPath, adapterKey());
  } catch (error) {
    if (error.code !== 'EACCES' && error.code !== 'EROFS') throw error; // a read-only checkout probes each time
  }
}

function provideAdapter() {
  if (readText(stampPath) === adapterKey()) return;
  let adapter = probeAdapter();
  if (adapter === null) {
    installDriver();
    adapter = probeAdapter();
  }
  if (adapter === null) {
    throw new SetupError(
      'a Vulkan driver is installed, but WebGPU finds no adapter. ' +
        'It needs Mesa 25 or newer, or the vendor driver of the GPU; `vulkaninfo --summary` shows what there is.',
    );
  }
  say(`WebGPU adapter: ${adapter}`);
  keepStamp();
}

const backportsList = '/etc/apt/sources.list.d/ps3-webgpu-backports.list';
const backportsLine = 'deb http://deb.debian.org/debian bookworm-backports main';

/** Fields of /etc/os-release, {} where there is none. */
function osRelease() {
  const lines = (readText('/etc/os-release') ?? '')
    .split('\n')
    .map((line) => line.match(/^(\w+)="?(.*?)"?$/));
  return Object.fromEntries(lines.filter(Boolean).map(([, key, value]) => [key, value]));
}

/** True when an apt source that is not commented out names the suite. */
function hasSuite(suite) {
  const dir = '/etc/apt/sources.list.d';
  const files = list(dir).filter((file) => /\.(list|sources)$/.test(file));
  return ['/etc/apt/sources.list', ...files.map((file) => join(dir, file))]
    .flatMap((file) => (readText(file) ?? '').split('\n'))
    .some((line) => !line.startsWith('#') && line.includes(suite));
}

/** What other systems lack, as one sentence. */
function adviceFor(system) {
  if (process.platform === 'darwin')
    return 'macOS 13 or newer on a Mac with Metal is needed: there is nothing to install.';
  if (process.platform === 'win32')
    return 'A GPU driver with Direct3D 12 is needed: update the driver of the GPU.';
  const family = `${system.ID} ${system.ID_LIKE}`;
  const install = /fedora|rhel/.test(family)
    ? 'sudo dnf install mesa-vulkan-drivers vulkan-loader'
    : /arch/.test(family)
      ? 'sudo pacman -S vulkan-swrast vulkan-icd-loader'
      : null;
  const need = 'A Vulkan driver is needed (Mesa 25 or newer, or the vendor driver of the GPU)';
  return install ? `${need}: ${install}` : `${need}; install it with the package manager of this system.`;
}

/**
 * Installs Mesa's software Vulkan driver on Debian and its relatives. Debian 12 has Mesa 22.3.6, with which WebGPU finds
 * no adapter, so there the driver comes from bookworm-backports.
 */
function installDriver() {
  const system = osRelease();
  const debianLike = /debian|ubuntu/.test(`${system.ID} ${system.ID_LIKE}`) && existsSync('/usr/bin/apt-get');
  if (process.platform !== 'linux' || !debianLike) {
    throw new SetupError(`WebGPU finds no adapter on this machine. ${adviceFor(system)}`);
  }
  const bookworm = (system.DEBIAN_CODENAME ?? system.VERSION_CODENAME) === 'bookworm';
  const addSource = bookworm && !hasSuite('bookworm-backports');
  const install = [
    ...['install', '-y', '--no-install-recommends'],
    ...(bookworm ? ['-t', 'bookworm-backports'] : []),
    ...['mesa-vulkan-drivers', 'libvulkan1'],
  ];
  const command = [
    ...(addSource ? [`echo '${backportsLine}' | sudo tee ${backportsList}`] : []),
    'sudo apt-get update',
    `sudo apt-get ${install.join(' ')}`,
  ].join(' && ');
  if (process.getuid() !== 0)
    throw new SetupError(`WebGPU finds no adapter on this machine. Run: ${command}`);

  say(`WebGPU finds no adapter; installing Mesa's software driver (apt-get ${install.join(' ')})`);
  if (addSource) writeFileSync(backportsList, `${backportsLine}\n`);
  apt('update'); // a broken third-party source fails here without harm: the next line decides
  if (apt(...install) !== 0) {
    throw new SetupError(
      `apt-get could not install the driver (its message is above; usually no network). ` +
        `When that is solved, run again: ${command.replaceAll('sudo ', '')}`,
    );
  }
}

function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync('apt-get', ['-q', ...args], { stdio: ['ignore', 'inherit', 'inherit'], env }).status;
}

function say(line) {
  console.log(`setup: ${line}`);
}

try {
  checkNode();
  installPackages();
  provideAdapter();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`setup: ${error.message}`);
  process.exitCode = 1;
}
