// The licence manifest beside built data: every package and photograph that was used, and its terms.
import { type Credit, creditLine, type PhotoSource, type Sources } from './sources.ts';

/** A licence manifest. */
export interface Manifest {
  note: string;
  packages: Credit[];
  photographs: { name: string; source: string; licence: string; attribution: string; changes: string }[];
}

const NOTE =
  'An image here joins works of several authors and may be passed on only under the terms of all of them. ' +
  'Share-alike (CC-BY-SA, GPL) sources bind the images that hold them; build with `--permissive` to leave them out.';
const CHANGES = 'cropped, scaled, mirrored, brightness changed, objects pasted on';

/**
 * The manifest of the sources of a collection.
 *
 * @param photos  the backgrounds it draws from
 * @param styles  drawing styles and fonts of its cut-outs
 */
export function licenceManifest(
  sources: Pick<Sources, 'credits'>,
  photos: readonly PhotoSource[],
  styles: ReadonlySet<string>,
): Manifest {
  const photoPackages = new Set(photos.map((photo) => photo.source));
  return {
    note: NOTE,
    packages: sources.credits.filter(
      ({ provides, source }) => provides === 'labels' || styles.has(provides) || photoPackages.has(source),
    ),
    photographs: photos.map(({ name, source, licence, attribution }) => ({
      name,
      source,
      licence,
      attribution,
      changes: CHANGES,
    })),
  };
}

/** The manifest as Markdown. */
export function manifestText(manifest: Manifest): string {
  const lines = ['# Licences of the images in this folder', '', manifest.note, '', '## Packages', ''];
  for (const credit of manifest.packages)
    lines.push(`- ${creditLine(credit)}; ${credit.attribution}; ${credit.url}`);
  lines.push('', '## Backgrounds', '');
  for (const { name, source, licence, attribution, changes } of manifest.photographs) {
    lines.push(`- ${name} (${source}): ${licence}; ${attribution}; ${changes}`);
  }
  return `${lines.join('\n')}\n`;
}
