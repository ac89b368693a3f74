// How the suite becomes scripts without imports: one for a Node without packages, and those of the page.
// Imported .wgsl text and wgsl_reflect are inlined.
import { fileURLToPath } from 'node:url';
import type { BuildOptions } from 'esbuild';
import type { BenchResult } from './report.ts';

const SHARED: BuildOptions = {
  absWorkingDir: fileURLToPath(new URL('..', import.meta.url)),
  bundle: true,
  minify: true,
  keepNames: true, // of errors, which are printed
  external: ['webgpu'], // a binary; in browsers the import is never reached
  legalComments: 'eof',
  logLevel: 'warning',
};

/** The command line; the package `webgpu` is expected beside it. */
export function commandBuild(outfile: string): BuildOptions {
  return {
    ...SHARED,
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
  return {
    ...SHARED,
    entryPoints: ['index.html', 'page.css', 'page.ts', 'worker.ts'].map((name) => `bench/page/${name}`),
    loader: { '.html': 'copy' },
    define: { VERSION: JSON.stringify(version), STORED_RESULTS: JSON.stringify(stored) },
    ...{ platform: 'browser', format: 'iife', target: 'es2022', outdir },
  };
}
