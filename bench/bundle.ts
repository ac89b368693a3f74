// How the suite becomes scripts without imports: one for a Node without packages, and those of the page.
import type { BuildOptions } from 'esbuild';
import { BUNDLE, pageBundle } from '../engine/bundle.ts';
import type { BenchResult } from './report.ts';

/** The command line; the package `webgpu` is expected beside it. */
export function commandBuild(outfile: string): BuildOptions {
  return {
    ...BUNDLE,
    entryPoints: ['bench/run.ts'],
    ...{ platform: 'node', format: 'esm', target: 'node20.19', outfile },
  };
}

/**
 * The page: index.html, page.css, page.js and worker.js.
 *
 * @param version  of this package
 * @param stored   results of other runs, to compare with
 */
export function pageBuild(version: string, stored: readonly BenchResult[], outdir: string): BuildOptions {
  const page = pageBundle('bench/page', { VERSION: version, STORED_RESULTS: stored }, outdir);
  return { ...page, format: 'iife', splitting: false }; // nothing is loaded later
}
