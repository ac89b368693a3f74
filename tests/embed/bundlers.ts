// Bundlers with the options that they have without being told any: an entry, a folder for what they write, nothing else.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as esbuild from 'esbuild';
import * as vite from 'vite';
import webpack from 'webpack';

/** Bundles `project`/`entry` for a page in `out`, whose index.html loads it; returns what the bundler warns of. */
export type Bundler = (project: string, entry: string, out: string) => Promise<string[]>;

const page = (script: string): string =>
  `<!doctype html>\n<link rel="icon" href="data:," />\n<body></body>\n<script type="module" src="${script}"></script>\n`;

export const BUNDLERS: Readonly<Record<'esbuild' | 'vite' | 'webpack', Bundler>> = {
  async esbuild(project, entry, out) {
    const options = { entryPoints: [join(project, entry)], bundle: true, outfile: join(out, 'main.js') };
    const { warnings } = await esbuild.build({ ...options, logLevel: 'silent' });
    await writeFile(join(out, 'index.html'), page('main.js'));
    return warnings.map(({ text }) => text);
  },

  async vite(project, entry, out) {
    await writeFile(join(project, 'index.html'), page(entry));
    const warnings: string[] = [];
    const customLogger = vite.createLogger('silent');
    for (const kind of ['warn', 'warnOnce', 'error'] as const)
      customLogger[kind] = (text) => warnings.push(text);
    await vite.build({ root: project, configFile: false, customLogger, build: { outDir: out } });
    return warnings;
  },

  async webpack(project, entry, out) {
    const stats = await new Promise<webpack.Stats | undefined>((resolve, reject) =>
      webpack(
        { mode: 'production', context: project, entry: `./${entry}`, output: { path: out } },
        (error, done) => (error ? reject(error) : resolve(done)),
      ),
    );
    await writeFile(join(out, 'index.html'), page('main.js'));
    const { errors = [], warnings = [] } = stats?.toJson({ all: false, errors: true, warnings: true }) ?? {};
    if (errors.length > 0) throw new Error(errors.map(({ message }) => message).join('\n'));
    return warnings.map(({ message }) => message).filter((text) => !/size limit|performance rec/.test(text));
  },
};
