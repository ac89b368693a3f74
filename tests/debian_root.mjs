// Makes the Debian 13 in which `npm run test:matrix` runs on real matrix units, once and as root:
//
//   node tests/debian_root.mjs            in /var/lib/ps3-webgpu/debian13, or where the environment variable DEBIAN_ROOT says
//
// Mesa 26 of its backports has a lavapipe with chromium-experimental-subgroup-matrix. It takes about 520 MB and two minutes.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { debianRoot, missing } from './places.mjs';

const MIRROR = 'deb http://deb.debian.org/debian';
const TOOL = 'mmdebstrap';

/** Runs a program whose output is shown. @throws Error when it fails */
function run(program, ...args) {
  console.log(`debian_root: ${program} ${args.join(' ')}`);
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
  if (status !== 0)
    throw new Error(`${program} must succeed, got ${error?.message ?? `exit code ${status}`}`);
}

try {
  if (!missing('debian13-tier3')) console.log(`debian_root: ${debianRoot} is there already`);
  else {
    if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get'))
      throw new Error('this must run as root on Debian or Ubuntu, got another user or system.');
    if (!existsSync(`/usr/bin/${TOOL}`)) {
      run('apt-get', 'update');
      run('apt-get', 'install', '-y', '--no-install-recommends', TOOL);
    }
    mkdirSync(dirname(debianRoot), { recursive: true });
    run(
      TOOL,
      ...['--variant=minbase', '--include=ca-certificates,libstdc++6,libvulkan1,mesa-vulkan-drivers'],
      ...['--aptopt=APT::Default-Release "trixie-backports"', '--aptopt=APT::Install-Recommends "false"'],
      ...['trixie', debianRoot, `${MIRROR} trixie main`, `${MIRROR} trixie-backports main`],
    );
    const fault = missing('debian13-tier3');
    if (fault) throw new Error(fault);
  }
} catch (error) {
  console.error(`debian_root: ${error.message}`);
  process.exitCode = 1;
}
