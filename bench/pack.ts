// npm run bench:bundle [-- --peers]: the benchmark as one archive, with the libraries to compare with if asked for, for Linux machines without
// Node, npm and internet. Inside, the command lies as deep in its folder as bench/run.ts does here, so that it finds other files alike.
import { spawnSync } from 'node:child_process';
import { chmod, copyFile, cp, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { EngineError, makeFolder } from '../engine/index.ts';
import { commandBuild } from './bundle.ts';
import { installPeers, rootPath } from './host.ts';

const LIMIT_BYTES = 60e6;
const NAME = `ps3-webgpu-bench-${process.platform}-${process.arch}`;

/** The archive cannot be made here. */
class PackError extends EngineError {
  constructor(message: string) {
    super('pack', message);
  }
}

/** Starts the command in any folder and with any environment; PATH may be empty. */
const LAUNCHER = `#!/bin/sh
case $0 in
*/*) here=\${0%/*} ;;
*) here=. ;;
esac
exec "$here/node" "$here/command/run.mjs" "$@"
`;

/** What the command reads of bench/peers, once installed. */
const PEERS = [
  'package.json',
  'package-lock.json',
  ...[
    '.cache/package-lock.json',
    '.cache/tfjs.cjs',
    '@jax-js/jax',
    'onnxruntime-web/package.json',
    'onnxruntime-web/README.md',
    'onnxruntime-web/dist/ort.webgpu.bundle.min.mjs',
    'onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.mjs',
    'onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm',
  ].map((it) => `node_modules/${it}`),
];

const readme = (withPeers: boolean): string => `ps3-webgpu bench
================

Measures this machine's GPU: its peaks, then every WebGPU kernel of ps3-webgpu beside them.

    ./bench --quick                  a minute or two
    ./bench --json out.json          everything; the results as JSON too
    ./bench --filter matmul          the ops with matmul in their name${
      withPeers
        ? '\n    ./bench --peers                  what jax-js, tfjs and onnxruntime-web can do, beside them'
        : ''
    }

Needs Linux on ${process.arch} with glibc 2.34 and GLIBCXX_3.4.30 (Debian 12, Ubuntu 22.04, or newer), a Vulkan driver and the Vulkan
loader libvulkan.so.1. It has its own Node ${process.versions.node} and Dawn, writes nothing but the file after --json, and uses no network.

No loader?  On a machine with apt, without being root:

    apt-get download libvulkan1
    dpkg -x libvulkan1_*.deb vulkan
    export LD_LIBRARY_PATH=$PWD/vulkan/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu

Without internet, download it elsewhere and copy the .deb here.

An NVIDIA card that is not found?  Its driver comes with a file that names its Vulkan library. Containers often lack it (or
the library: start them with NVIDIA_DRIVER_CAPABILITIES=all). Where libGLX_nvidia.so.0 is installed, write the file yourself:

    echo '{"file_format_version": "1.0.0", "ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.0"}}' > nvidia_icd.json
    export VK_DRIVER_FILES=$PWD/nvidia_icd.json

Without X libraries, libEGL_nvidia.so.0 in its place may do.

Nothing but a software adapter in the first line of the output?  Then the driver above was not found: VK_LOADER_DEBUG=error
prints why.

PyTorch on the same card, for comparison, by a Python that has it:

    python3 torch_cuda.py --json torch.json
    ./bench --merge torch.json       its rows beneath ours

${withPeers ? '' : '--peers needs an archive made by npm run bench:bundle -- --peers.\n\n'}Licences: ps3-webgpu Apache-2.0 (LICENSE); Dawn for Node in node_modules/webgpu/LICENSE.md; Node
https://github.com/nodejs/node/blob/v${process.versions.node}/LICENSE; what is bundled, at the end of command/run.mjs${
  withPeers ? '; jax-js MIT, tfjs Apache-2.0, ONNX Runtime MIT' : ''
}.
`;

/** Runs a program of the system to its end. */
function runProgram(program: string, debianPackage: string, ...words: string[]): void {
  const { error, status, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  if (error)
    throw new PackError(
      `bench:bundle: ${program} must be installed, got ${error.message}. Run: apt-get install ${debianPackage}`,
    );
  if (status !== 0) throw new PackError(`bench:bundle: ${program} must succeed, got ${stderr.trim()}.`);
}

/** Copies a file into the folder, at its place in the repository. */
async function copyIn(folder: string, path: string): Promise<void> {
  await makeFolder(dirname(join(folder, path)));
  await copyFile(rootPath(path), join(folder, path));
}

/** Makes the archive and returns its path. */
async function pack(withPeers: boolean): Promise<string> {
  if (process.platform !== 'linux')
    throw new PackError(`bench:bundle: the platform must be linux, got ${process.platform}.`);
  const configured: Readonly<Record<string, unknown>> = process.config.variables;
  if (configured.node_shared)
    throw new PackError(
      `bench:bundle: Node must be one file, got ${process.execPath}, which needs libnode. Use one of https://nodejs.org/en/download`,
    );
  const parent = await mkdtemp(join(tmpdir(), 'ps3-webgpu-bench-'));
  try {
    const folder = join(parent, NAME);
    if (withPeers) installPeers();
    await build(commandBuild(join(folder, 'command/run.mjs')));
    const dawn = [
      'package.json',
      'index.js',
      'LICENSE.md',
      `dist/${process.platform}-${process.arch}/dawn.node`,
    ];
    for (const path of [
      'package.json',
      'LICENSE',
      'NOTICE',
      ...dawn.map((it) => `node_modules/webgpu/${it}`),
    ])
      await copyIn(folder, path);
    for (const path of withPeers ? PEERS : [])
      await cp(rootPath(`bench/peers/${path}`), join(folder, 'command/peers', path), { recursive: true });
    await copyFile(rootPath('bench/peers/torch_cuda.py'), join(folder, 'torch_cuda.py'));
    await copyFile(process.execPath, join(folder, 'node'));
    await writeFile(join(folder, 'bench'), LAUNCHER);
    await writeFile(join(folder, 'README.txt'), readme(withPeers));
    for (const name of ['node', 'bench']) await chmod(join(folder, name), 0o755);

    const archive = rootPath(`bench/dist/${NAME}.tar.xz`);
    const tar = join(parent, `${NAME}.tar`);
    runProgram(
      'tar',
      'tar',
      '--create',
      '--file',
      tar,
      '--owner=0',
      '--group=0',
      '--directory',
      parent,
      NAME,
    );
    runProgram('xz', 'xz-utils', '-6', '--threads=2', tar); // -9e takes twice as long for 1 % less
    await makeFolder(dirname(archive));
    await copyFile(`${tar}.xz`, archive);
    const { size: sizeBytes } = await stat(archive);
    if (sizeBytes > LIMIT_BYTES)
      throw new PackError(
        `bench:bundle: ${archive} must stay below ${LIMIT_BYTES / 1e6} MB, got ${(sizeBytes / 1e6).toFixed(1)} MB. Use a smaller Node.`,
      );
    return `${archive}, ${(sizeBytes / 1e6).toFixed(1)} MB`;
  } finally {
    await rm(parent, { recursive: true });
  }
}

try {
  console.log(`bench:bundle: ${await pack(process.argv.includes('--peers'))}`);
} catch (error) {
  if (!(error instanceof EngineError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
