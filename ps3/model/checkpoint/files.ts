// Where the files of a checkpoint come from: a folder, an address, a repository of the hub, or files in the hand.
import { type BlobLike, fileSystem, type UrlLike } from '../../../engine/index.ts';
import { ConfigError } from '../config/config.ts';

/**
 * A checkpoint's place: the path of a folder, an http(s) address that ends where file names may follow,
 * `hf://owner/name` or `hf://owner/name@revision` for a repository of the hub, the files themselves, as a page gets
 * them from a file input or a drop, or what opens files by name.
 */
export type CheckpointSource =
  | string
  | UrlLike
  | Iterable<BlobLike & { readonly name: string }>
  | CheckpointFiles;

/** What is used of a Response. */
export interface Fetched {
  /** Whether `status` is one of success. */
  readonly ok: boolean;
  /** HTTP's status. */
  readonly status: number;
  /** By name. */
  readonly headers: { get(name: string): string | null };
  /** What is left unread is cancelled. */
  readonly body: { cancel(): Promise<void> } | null;
  /** The whole body in memory. */
  arrayBuffer(): Promise<ArrayBuffer>;
  /** The whole body, where the runtime keeps it. */
  blob(): Promise<BlobLike>;
}

/** How addresses and repositories are reached. */
export interface DownloadOptions {
  /** The hub's address; default https://huggingface.co. */
  readonly hubUrl?: string;
  /** For private repositories. */
  readonly accessToken?: string;
  /** Instead of the runtime's own fetch. */
  readonly fetch?: (url: string, options: { headers: Record<string, string> }) => Promise<Fetched>;
}

/** The files of one checkpoint. */
export interface CheckpointFiles {
  /** The function that opens them, for messages. */
  readonly op: string;
  /** The place in words, for messages. */
  readonly place: string;
  /** Whether other repositories can be reached in the same way. */
  readonly isHub?: boolean;
  /** A path, or bytes that are fetched by range as they are read; undefined where there is no such file. */
  open(name: string): Promise<string | BlobLike | undefined>;
}

/** Files by name. Nothing is read or fetched yet. @throws ConfigError for an address that is none */
export function checkpointFiles(
  source: CheckpointSource,
  options: DownloadOptions = {},
  op = 'PS3.load',
): CheckpointFiles {
  if (typeof source === 'object' && 'open' in source) return source;
  if (typeof source === 'object' && Symbol.iterator in source) return inHand(op, source);
  const address = typeof source === 'object' ? source.href : source;
  if (address.startsWith('hf://')) return onHub(op, address.slice('hf://'.length), options);
  if (/^https?:\/\//.test(address)) return atAddress(op, address, options);
  return inFolder(op, typeof source === 'object' ? decodeURIComponent(new URL(address).pathname) : source);
}

/** The files of a folder in a checkpoint. */
export function within(files: CheckpointFiles, folder: string): CheckpointFiles {
  const place = `${folder}/ of ${files.place}`;
  return { ...files, place, open: (name) => files.open(`${folder}/${name}`) };
}

function inHand(op: string, files: Iterable<BlobLike & { readonly name: string }>): CheckpointFiles {
  const byName = new Map<string, BlobLike>();
  for (const file of files) byName.set(file.name, file);
  return {
    op,
    place: `${byName.size} files`,
    open: async (name) => byName.get(name),
  };
}

function inFolder(op: string, folder: string): CheckpointFiles {
  return {
    op,
    place: folder,
    open: async (name) => {
      const fs = await fileSystem();
      const path = `${folder.replace(/\/+$/, '')}/${name}`;
      const stat = await fs.stat(path).catch(() => undefined);
      return stat?.isFile() ? path : undefined;
    },
  };
}

function onHub(op: string, designation: string, options: DownloadOptions): CheckpointFiles {
  const [repo, revision = 'main'] = designation.split('@');
  if (!/^[\w.-]+\/[\w.-]+$/.test(repo))
    throw new ConfigError(`${op}: a hub address must be hf://owner/name, got hf://${designation}.`);
  const { hubUrl = 'https://huggingface.co', accessToken } = options;
  const folder = `${hubUrl}/${repo}/resolve/${encodeURIComponent(revision)}/`;
  return {
    op,
    place: `hf://${designation}`,
    isHub: true,
    open: (name) => openAddress(op, folder + name, options, accessToken),
  };
}

function atAddress(op: string, address: string, options: DownloadOptions): CheckpointFiles {
  const folder = address.endsWith('/') ? address : `${address}/`;
  return {
    op,
    place: folder,
    open: (name) => openAddress(op, new URL(name, folder).href, options),
  };
}

/** A file that is fetched by range as it is read, or, from a server without ranges, now and as a whole. */
async function openAddress(
  op: string,
  url: string,
  { fetch: get = fetch }: DownloadOptions,
  accessToken?: string,
): Promise<BlobLike | undefined> {
  const request = async (range?: string): Promise<Fetched> => {
    const headers: Record<string, string> = {};
    if (range) headers.Range = `bytes=${range}`;
    if (accessToken) headers.Authorization = `Bearer ${accessToken}`;
    return get(url, { headers });
  };
  const expectOk = async (response: Fetched): Promise<Fetched> => {
    if (response.ok) return response;
    await response.body?.cancel();
    throw new ConfigError(
      `${op}: ${url} must be readable, got status ${response.status}. A private repository needs accessToken.`,
    );
  };
  const probe = await request('0-0'); // one byte tells the size, and whether the server sends ranges
  if (probe.status === 404) {
    await probe.body?.cancel();
    return undefined;
  }
  await expectOk(probe);
  const size = Number(probe.headers.get('content-range')?.split('/')[1]);
  if (probe.status !== 206 || !Number.isSafeInteger(size)) return probe.blob();
  await probe.body?.cancel();
  const read = async (range?: string): Promise<ArrayBuffer> =>
    (await expectOk(await request(range))).arrayBuffer();
  return {
    name: url,
    size,
    slice: (start, end) => ({
      arrayBuffer: async () => (start < end ? read(`${start}-${end - 1}`) : new ArrayBuffer(0)),
    }),
    arrayBuffer: () => read(),
  };
}
