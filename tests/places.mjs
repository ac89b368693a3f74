// Where the tests run: the WebGPU implementations and adapters that a machine without a GPU has, and the files that run in each.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Debian's package; another build is named by the environment variable CHROMIUM. */
const chromiumPath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const swiftshader = '/usr/lib/chromium/vk_swiftshader_icd.json'; // it comes with the package
const installChromium = 'as root: apt-get update && apt-get install -y --no-install-recommends chromium';

const node = (path) => [
  process.execPath,
  ...['--import', pathToFileURL(join(root, 'engine/wgsl_loader.mjs')).href, '--import', 'tsx', path],
];
const deno = (path) => [
  process.execPath,
  join(root, 'node_modules/deno/bin.cjs'),
  ...['run', '-A', '--quiet', path],
];
const chromium = (path) => [process.execPath, '--import', 'tsx', join(root, 'tests/in_chromium.ts'), path];

/** Where debian_root.mjs makes a Debian 13, whose lavapipe has matrix units of 8 x 8 x 8. */
export const debianRoot = process.env.DEBIAN_ROOT ?? '/var/lib/ps3-webgpu/debian13';

/** Runs Node in that root; what is mounted for it goes with the process. */
const ENTER = `
set -e
base=$1 repo=$2 node=$3
shift 3
mkdir -p "$base$repo"
touch "$base/usr/local/bin/node"
mount --bind /proc "$base/proc"
mount --rbind /dev "$base/dev"
mount --bind "$repo" "$base$repo"
mount --bind "$node" "$base/usr/local/bin/node"
exec chroot "$base" env --unset=NODE_EXTRA_CA_CERTS --chdir="$repo" node "$@"`;
const debian = (path) => [
  ...['unshare', '--mount', 'sh', '-c', ENTER, 'enter', debianRoot, root, process.execPath],
  ...node(path).slice(1),
];
const debianOnTier = (tier) => ({
  is: `Dawn in Node on Debian 13, Mesa 26's lavapipe, tier ${tier}`,
  command: debian,
  env: { TEST_TIER: String(tier), TEST_ADAPTER: 'mesa 26' },
  needs: {
    file: join(debianRoot, 'usr/share/vulkan/icd.d/lvp_icd.json'),
    install: 'as root on Debian: node tests/debian_root.mjs',
    isOptional: true,
  },
});

/**
 * By name: what it is, the command that runs a test file, what the command's environment holds beside ours, and a file that
 * must be there with the command that brings it: without it a place fails, or is skipped where it is optional. Tests stop
 * when the adapter is not the one of TEST_ADAPTER.
 */
export const places = {
  dawn: { is: 'Dawn in Node, default driver', command: node },
  'dawn-tier0': { is: 'Dawn in Node, default limits, f32', command: node, env: { TEST_TIER: '0' } },
  'gpu-plans': {
    is: 'Dawn in Node, default driver, planned as for a GPU',
    command: node,
    env: { TEST_PLANS: 'gpu' },
  },
  swiftshader: {
    is: 'Dawn in Node, SwiftShader',
    command: node,
    env: { VK_DRIVER_FILES: swiftshader, TEST_ADAPTER: 'swiftshader' },
    needs: { file: swiftshader, install: installChromium },
  },
  deno: {
    is: 'wgpu in Deno, default driver',
    command: deno,
    needs: { file: join(root, 'node_modules/deno/bin.cjs'), install: 'npm ci --ignore-scripts' },
  },
  chromium: {
    is: 'Dawn in Chromium, SwiftShader',
    command: chromium,
    needs: { file: chromiumPath, install: installChromium },
  },
  ...Object.fromEntries([0, 1, 2, 3].map((tier) => [`debian13-tier${tier}`, debianOnTier(tier)])),
};

/** Why a place cannot be had, as a sentence; null when it can. */
export function missing(name) {
  const { needs } = places[name];
  if (needs?.isOptional && existsSync(needs.file) && process.getuid?.() !== 0)
    return `${name}: it is entered as root, got another user. Run npm run test:matrix as root`;
  if (!needs || existsSync(needs.file)) return null;
  return `${name}: ${needs.file} must exist, got no such file. Run ${needs.install}`;
}

/** Whether a place that cannot be had is skipped: it takes 520 MB and Debian's tools. */
export const isOptional = (name) => places[name].needs?.isOptional === true;

/** Files that run everywhere: tests of kernels, tensors, devices, layers, images and tokenizers, which read nothing but fixtures. */
export const isPortable = (path) =>
  /^tests\/((ops|tensor|gpu|nn)\/|ps3\/(image|tokenizer|sentencepiece)\.|language\/qwen_sized\.)/.test(path);

/** Files that run on Debian 13 beside those: the model against the official one, and training on matrix units. */
export const isForMatrixUnits = (path) =>
  /^tests\/(ps3\/(golden|encode|hidden_states)|train\/(precision|products|parity\.full)|shaders\/subgroup_matrix)\.test/.test(
    path,
  );

/** Why the others do not: they are tests of files, processes and command lines, or compare what no adapter changes. */
export const notPortable =
  'tests of files, packages, processes and the command line run in Node only: app, bench, data, io, ps3, ranks, shaders, train, layout, readme, run, setup';

/** A few files that touch every part of the engine. */
export const isSmoke = (path) =>
  /^tests\/(gpu\/engine|tensor\/memory|nn\/adamw|ops\/(gather|gelu|layer_norm|softmax|top_k))\.test\.ts$/.test(
    path,
  );
