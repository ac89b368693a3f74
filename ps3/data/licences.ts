// Licence statements of the sources: Debian's machine-readable copyright files (DEP-5) and KDE's wallpaper
// metadata. https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who made a file and under which licence it may be used. */
export interface Licence {
  /** SPDX-like short name, e.g. `CC-BY-4.0`. */
  licence: string;
  attribution: string;
}

interface Stanza extends Licence {
  patterns: RegExp[];
}

/**
 * A DEP-5 glob (`*` and `?`, also across `/`) as a pattern for the end of a path. Globs name the source tree
 * and files are installed elsewhere, so a glob that ends in a file's own name matches by that name.
 */
function globPattern(glob: string): RegExp {
  const last = glob.slice(glob.lastIndexOf('/') + 1);
  const chosen = /^[*?]+$/.test(last) ? glob : last;
  const escaped = chosen
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`(^|/)${escaped}$`);
}

function parseStanza(text: string): Stanza | undefined {
  const fields = new Map<string, string>();
  let current = '';
  for (const line of text.split('\n')) {
    const field = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
    if (field) {
      current = field[1].toLowerCase();
      fields.set(current, field[2].trim());
    } else if (current !== '') {
      fields.set(current, `${fields.get(current)}\n${line.trim()}`);
    }
  }
  const files = fields.get('files');
  const licence = fields.get('license');
  if (files === undefined || licence === undefined) return undefined;
  return {
    patterns: files.split(/\s+/).filter(Boolean).map(globPattern),
    licence: licence.split('\n')[0].trim(),
    attribution: (fields.get('copyright') ?? '')
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean)
      .join('; '),
  };
}

/**
 * The licence that a DEP-5 copyright file states for a path; the last stanza that matches wins.
 *
 * @returns undefined when no stanza matches
 */
export function debianLicence(copyrightText: string, path: string): Licence | undefined {
  let found: Licence | undefined;
  for (const text of copyrightText.split(/\n\s*\n/)) {
    const stanza = parseStanza(text);
    if (stanza?.patterns.some((pattern) => pattern.test(path))) {
      found = { licence: stanza.licence, attribution: stanza.attribution };
    }
  }
  return found;
}

/** The licence in the metadata of a KDE wallpaper folder; undefined when it names none. */
export function kdeLicence(wallpaperFolder: string): Licence | undefined {
  const path = join(wallpaperFolder, 'metadata.json');
  if (!existsSync(path)) return undefined;
  const plugin = (
    JSON.parse(readFileSync(path, 'utf8')) as {
      KPlugin?: { License?: string; Authors?: { Name?: string }[] };
    }
  ).KPlugin;
  if (plugin?.License === undefined) return undefined;
  const authors = (plugin.Authors ?? []).map((author) => author.Name).filter((name) => name !== undefined);
  return { licence: plugin.License, attribution: authors.join('; ') };
}
