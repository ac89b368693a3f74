// How the suite becomes scripts without imports: one for a Node without packages, and those of the page.
import type { BuildOptions } from 'esbuild';
import { BUNDLE, pageBundle } from '../engine/bundle.ts';
import type { BenchResult } from './report.ts';

/** The command line; the package `webgpu` is expected beside it. */
export function commandBuild(outfile: string): BuildOptions {
  return {
    ...BUNDLE,
    entryPoints: ['bench/run.ts'],
    external: ['webgpu'], // a binary
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    outfile,
  };
}

/**
 * The page: index.html, page.css, page.js and worker.js.
 *
 * @param version  of this package
 * @param stored   results of other runs, to compare with
 * @param peers    versions of the libraries that `peersBuild` puts beside the page
 */
export function pageBuild(
  version: string,
  stored: readonly BenchResult[],
  outdir: string,
  peers: Readonly<Record<string, string>> = {},
): BuildOptions {
  const page = pageBundle('bench/page', { VERSION: version, STORED_RESULTS: stored, PEERS: peers }, outdir);
  return { ...page, format: 'iife', splitting: false }; // but for the libraries, nothing is loaded later
}

/** The libraries of bench/peers, once installed, as the modules beside a page that `peersBeside` names. */
export function peersBuild(outdir: string): BuildOptions {
  const ort = 'bench/peers/node_modules/onnxruntime-web/dist';
  const wasm = 'ort-wasm-simd-threaded.asyncify'; // ort.js looks for it beside itself
  return {
    ...BUNDLE,
    entryPoints: {
      jax: 'bench/peers/node_modules/@jax-js/jax/dist/index.js',
      tfjs: 'bench/peers/tfjs_entry.mjs',
      ort: `${ort}/ort.webgpu.bundle.min.mjs`,
      [wasm]: `${ort}/${wasm}.wasm`,
    },
    loader: { '.wasm': 'copy' },
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    outdir: `${outdir}/peers`,
  };
}
