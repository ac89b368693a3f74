// Which openly licensed packages Scenes is made of, and where their files lie.
//
//   from npm, 16 MB       three emoji styles, emoji labels, twelve fonts
//   from Debian, 74 MB    26 photographs (lomiri and mate wallpapers)
//   on request            11 more photographs (plasma, 94 MB), 774 captioned stamps (tuxpaint, 161 MB)
//
// Without apt: a folder of the user's photographs, or backgrounds generated from noise.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { expectKeys } from '../../engine/index.ts';
import { DataError } from './errors.ts';
import { isImageName } from './image_files.ts';
import { debianLicence, kdeLicence, type Licence } from './licences.ts';
import {
  aptPackage,
  type FontFile,
  hasApt,
  type Notice,
  npmFont,
  npmPackage,
  type UnpackedPackage,
} from './packages.ts';

/** A background: a photograph in a file, or noise that is generated from a seed. */
export interface PhotoSource extends Licence {
  /** Stable name; splits are decided by it. */
  name: string;
  /** Path of the image; empty for generated backgrounds. */
  path: string;
  /** Name of the package it comes from. */
  source: string;
}

/** One drawing style of emoji: the unpacked Iconify set. */
export interface EmojiSource {
  style: string;
  root: string;
}

/** One package and its terms. */
export interface Credit extends Licence {
  source: string;
  /** Style or font that it provides, or `labels` or `photographs`. */
  provides: string;
  version: string;
  manager: 'npm' | 'apt';
  url: string;
}

/** A source with its version and licence, in a line. */
export function creditLine({ source, version, licence, manager }: Credit): string {
  return `${source} ${version} (${manager}): ${licence}`;
}

/** Everything that Scenes draws from, on this disk. */
export interface Sources {
  emoji: EmojiSource[];
  /** emojibase's `data.json`: labels and groups. */
  emojiLabels: string;
  fonts: FontFile[];
  photos: PhotoSource[];
  /** Folder of tuxpaint's stamps, when asked for. */
  stamps?: string;
  credits: Credit[];
}

/** Optional sources. */
export interface SourceOptions {
  /** `auto`: Debian's wallpapers where apt exists, else generated; `generated`; or a folder of photographs. */
  photos?: string;
  /** Adds tuxpaint's stamps (161 MB). */
  stamps?: boolean;
  /** Adds plasma's photographs (94 MB). */
  plasma?: boolean;
  notice?: Notice;
}

const SOURCE_OPTIONS = { photos: true, stamps: true, plasma: true, notice: true } as const;

const EMOJI = [
  { style: 'noto', version: '1.2.9', licence: 'Apache-2.0', attribution: 'Google Inc, Noto Emoji' },
  {
    style: 'twemoji',
    version: '1.2.5',
    licence: 'CC-BY-4.0',
    attribution: 'Twitter, Inc and other contributors, Twemoji',
  },
  {
    style: 'openmoji',
    version: '1.2.29',
    licence: 'CC-BY-SA-4.0',
    attribution: 'OpenMoji, HfG Schwäbisch Gmünd',
  },
];

/** Latin fonts in a single weight: signs, hands, typewriters, headlines. */
const FONTS = [
  'abril-fatface',
  'archivo-black',
  'bangers',
  'bebas-neue',
  'courier-prime',
  'lobster',
  'oswald',
  'pacifico',
  'permanent-marker',
  'righteous',
  'space-mono',
  'special-elite',
];

/** Real photographs among the wallpapers, picked by looking: the packages also hold abstract graphics and logos. */
const WALLPAPERS: { name: string; files: RegExp }[] = [
  {
    name: 'lomiri-wallpapers-16.04',
    files:
      /^(aitzgorri|Bridge|Dragonfly|free|friends|greentock|life|picosdeeuropa|Picture_0B|Picture_1A|seeding|sunset|Wine)_by_/,
  },
  { name: 'lomiri-wallpapers-20.04', files: /^Kleiber_by_/ },
  {
    name: 'mate-backgrounds',
    files:
      /^(Aqua|Blinds|Dune|FreshFlower|Garden|GreenMeadow|LadyBird|RainDrops|Storm|TwoWings|Wood|YellowFlower)\.jpg$/,
  },
];
const PLASMA_PHOTOS =
  /^(BytheWater|ColdRipple|ColorfulCups|DarkestHour|EveningGlow|FallenLeaf|Grey|Kite|OneStandsOut|Path|summer_1am)$/;

const GENERATED_COUNT = 32;
/** Paths of all files below a folder, sorted, relative to it. */
function filesBelow(root: string): string[] {
  const names = readdirSync(root, { recursive: true, withFileTypes: true });
  return names
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

function wallpaperPhotos(unpacked: UnpackedPackage, wanted: RegExp): PhotoSource[] {
  const copyrightText = readFileSync(join(unpacked.root, `usr/share/doc/${unpacked.name}/copyright`), 'utf8');
  return filesBelow(unpacked.root)
    .filter((path) => wanted.test(basename(path)))
    .map((path) => ({
      name: basename(path, extname(path)),
      path: join(unpacked.root, path),
      source: unpacked.name,
      ...(debianLicence(copyrightText, path) ?? { licence: 'see the package', attribution: unpacked.name }),
    }));
}

function plasmaPhotos(unpacked: UnpackedPackage): PhotoSource[] {
  const root = join(unpacked.root, 'usr/share/wallpapers');
  const photos: PhotoSource[] = [];
  for (const name of readdirSync(root).sort()) {
    if (!PLASMA_PHOTOS.test(name)) continue;
    const folder = join(root, name);
    const largest = readdirSync(join(folder, 'contents/images'))
      .filter(isImageName)
      .sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10))[0];
    const licence = kdeLicence(folder) ?? { licence: 'GPL-2+', attribution: 'KDE Visual Design Group' };
    photos.push({ name, path: join(folder, 'contents/images', largest), source: unpacked.name, ...licence });
  }
  return photos;
}

function ownPhotos(folder: string): PhotoSource[] {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new DataError(`openSources: --photos must name a folder, got ${folder}. Check the path.`);
  }
  const files = readdirSync(folder).filter(isImageName);
  if (files.length < 2) {
    throw new DataError(
      `openSources: --photos needs at least 2 images (one is held out), got ${files.length} in ${folder}. Add JPEG, PNG, WebP or TIFF files.`,
    );
  }
  return files.sort().map((file) => ({
    name: file,
    path: join(folder, file),
    source: 'own photographs',
    licence: "the user's own",
    attribution: 'as its owner states',
  }));
}

function generatedPhotos(): PhotoSource[] {
  return Array.from({ length: GENERATED_COUNT }, (_, index) => ({
    name: `generated-${index}`,
    path: '',
    source: 'generated',
    licence: 'CC0-1.0',
    attribution: 'none: noise made by this program',
  }));
}

async function debianPhotos(plasma: boolean, notice: Notice, credits: Credit[]): Promise<PhotoSource[]> {
  const photos: PhotoSource[] = [];
  const missing: string[] = [];
  const credit = (unpacked: UnpackedPackage, licence: string): void => {
    credits.push({
      source: unpacked.name,
      provides: 'photographs',
      version: unpacked.version,
      manager: 'apt',
      url: `https://packages.debian.org/${unpacked.name}`,
      licence,
      attribution: 'see each file',
    });
  };
  for (const { name, files } of WALLPAPERS) {
    try {
      const unpacked = await aptPackage(name, notice);
      photos.push(...wallpaperPhotos(unpacked, files));
      credit(unpacked, 'per file: CC0, CC-BY, CC-BY-SA or GPL-2+');
    } catch (error) {
      // Ubuntu releases differ in which wallpapers they carry; what is there is enough if it is not nothing.
      if (!(error instanceof DataError)) throw error;
      missing.push(error.message);
    }
  }
  if (plasma) {
    const unpacked = await aptPackage('plasma-workspace-wallpapers', notice);
    photos.push(...plasmaPhotos(unpacked));
    credit(unpacked, 'per wallpaper: LGPLv3, CC-BY-SA-4.0 or GPL-2+');
  }
  for (const message of missing) notice(message);
  return photos;
}

/** Debian's photographs, or what stands in for them. */
async function systemPhotos(plasma: boolean, notice: Notice, credits: Credit[]): Promise<PhotoSource[]> {
  const photos = hasApt() ? await debianPhotos(plasma, notice, credits) : [];
  if (photos.length >= 2) return photos;
  notice('no photographs on this system: backgrounds are generated noise. Name your own with --photos DIR.');
  return generatedPhotos();
}

/**
 * Photographs for backgrounds, and the packages that they come from.
 *
 * @throws DataError for a folder without two images
 */
export async function openPhotos(
  options: Pick<SourceOptions, 'photos' | 'plasma' | 'notice'> = {},
): Promise<Pick<Sources, 'photos' | 'credits'>> {
  const { photos: wanted = 'auto', plasma = false, notice = () => {} } = options;
  const credits: Credit[] = [];
  if (wanted === 'auto') return { photos: await systemPhotos(plasma, notice, credits), credits };
  return { photos: wanted === 'generated' ? generatedPhotos() : ownPhotos(wanted), credits };
}

/**
 * Downloads the sources that the cache lacks, and lists all.
 *
 * @throws DataError when a needed package cannot be downloaded and is not in the cache
 */
export async function openSources(options: SourceOptions = {}): Promise<Sources> {
  expectKeys('openSources', options, SOURCE_OPTIONS);
  const { photos: wanted = 'auto', notice = () => {} } = options;
  // Before anything is downloaded: the folder may be mistaken.
  const own = wanted === 'auto' ? undefined : await openPhotos(options);
  const credits: Credit[] = [];
  const credit = (unpacked: UnpackedPackage, terms: Licence & { provides: string }): void => {
    const url = `https://www.npmjs.com/package/${unpacked.name}`;
    const { name: source, version, manager } = unpacked;
    credits.push({ source, version, manager, url, ...terms });
  };
  const emoji: EmojiSource[] = [];
  for (const { style, version, licence, attribution } of EMOJI) {
    const wanted = (path: string): boolean => /^(icons|chars|info|package)\.json$/.test(path);
    const unpacked = await npmPackage(`@iconify-json/${style}@${version}`, wanted, notice);
    credit(unpacked, { provides: style, licence, attribution });
    emoji.push({ style, root: unpacked.root });
  }
  const ofLabels = (path: string): boolean => path === 'en/data.json' || path === 'LICENSE';
  const labels = await npmPackage('emojibase-data@17.0.0', ofLabels, notice);
  credit(labels, { provides: 'labels', licence: 'MIT', attribution: 'Miles Johnson, Emojibase' });
  const fonts: FontFile[] = [];
  for (const provides of FONTS) {
    const { name, path, unpacked } = await npmFont(provides, notice);
    const licence = name === 'permanent-marker' || name === 'special-elite' ? 'Apache-2.0' : 'OFL-1.1';
    const attribution = `the ${name} project authors, see LICENSE in the package`;
    credit(unpacked, { provides, licence, attribution });
    fonts.push({ name, path });
  }
  const { photos, credits: ofPhotos } = own ?? (await openPhotos(options));
  credits.push(...ofPhotos);
  const sources: Sources = { emoji, emojiLabels: join(labels.root, 'en/data.json'), fonts, photos, credits };
  if (options.stamps === true) {
    const unpacked = await aptPackage('tuxpaint-stamps-default', notice);
    sources.stamps = join(unpacked.root, 'usr/share/tuxpaint/stamps');
    credits.push({
      source: unpacked.name,
      provides: 'stamp',
      version: unpacked.version,
      manager: 'apt',
      url: 'https://packages.debian.org/tuxpaint-stamps-default',
      licence: 'GPL-2',
      attribution: 'Bill Kendrick and contributors, Tux Paint',
    });
  }
  return sources;
}
