// How sources become scripts that need no packages: imported .wgsl text and wgsl_reflect are inlined.
import { fileURLToPath } from 'node:url';
import type { BuildOptions } from 'esbuild';

/** What all bundles share. Paths are relative to the repository's root. */
export const BUNDLE: BuildOptions = {
  absWorkingDir: fileURLToPath(new URL('..', import.meta.url)),
  bundle: true,
  minify: true,
  keepNames: true, // of errors, which are printed
  legalComments: 'eof',
  logLevel: 'warning',
};

/**
 * A page: the index.html, page.css, page.ts and worker.ts of a folder as static files. Both scripts are modules, and
 * dynamic imports become separate files.
 *
 * @param folder  of the sources
 * @param define  constants that the build puts in, by name
 */
export function pageBundle(folder: string, define: Record<string, unknown>, outdir: string): BuildOptions {
  const texts = Object.entries(define).map(([name, value]) => [name, JSON.stringify(value)]);
  return {
    ...BUNDLE,
    entryPoints: ['index.html', 'page.css', 'page.ts', 'worker.ts'].map((name) => `${folder}/${name}`),
    loader: { '.html': 'copy' },
    define: Object.fromEntries(texts),
    platform: 'browser',
    format: 'esm',
    splitting: true,
    target: 'es2022',
    outdir,
  };
}
