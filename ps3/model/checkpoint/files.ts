// Where the files of a checkpoint come from: a folder, an address, a repository of the hub, or files in the hand.
import { fileSystem } from '../../../engine/index.ts';
import { ConfigError } from '../config/config.ts';

/**
 * A checkpoint's place: the path of a folder, an http(s) address that ends where file names may follow,
 * `hf://owner/name` or `hf://owner/name@revision` for a repository of the hub, or the files themselves, as a page gets
 * them from a file input or a drop.
 */
export type CheckpointSource = string | URL | Iterable<File>;

/** How addresses and repositories are reached. */
export interface DownloadOptions {
  /** The hub's address; default https://huggingface.co. */
  readonly hubUrl?: string;
  /** For private repositories. */
  readonly accessToken?: string;
  /** Instead of the runtime's own fetch. */
  readonly fetch?: typeof fetch;
}

/** The files of one checkpoint. */
export interface CheckpointFiles {
  /** The place in words, for messages. */
  readonly place: string;
  /** Whether other repositories can be reached in the same way. */
  readonly isHub?: boolean;
  /** A path, or bytes that are fetched by range as they are read; undefined where there is no such file. */
  open(name: string): Promise<string | Blob | undefined>;
}

/** Files by name. Nothing is read or fetched yet. @throws ConfigError for an address that is none */
export function checkpointFiles(source: CheckpointSource, options: DownloadOptions = {}): CheckpointFiles {
  if (typeof source === 'object' && !(source instanceof URL)) return inHand(source);
  const address = String(source);
  if (address.startsWith('hf://')) return onHub(address.slice('hf://'.length), options);
  if (/^https?:\/\//.test(address)) return atAddress(new URL(address), options);
  return inFolder(source);
}

function inHand(files: Iterable<File>): CheckpointFiles {
  const byName = new Map<string, File>();
  for (const file of files) byName.set(file.name, file);
  return {
    place: `${byName.size} files`,
    open: async (name) => byName.get(name),
  };
}

function inFolder(source: string | URL): CheckpointFiles {
  const folder = source instanceof URL ? decodeURIComponent(source.pathname) : source;
  return {
    place: folder,
    open: async (name) => {
      const fs = await fileSystem();
      const path = `${folder.replace(/\/+$/, '')}/${name}`;
      const stat = await fs.stat(path).catch(() => undefined);
      return stat?.isFile() ? path : undefined;
    },
  };
}

function onHub(designation: string, options: DownloadOptions): CheckpointFiles {
  const [repo, revision] = designation.split('@');
  if (!/^[\w.-]+\/[\w.-]+$/.test(repo))
    throw new ConfigError(`checkpoint: a hub address must be hf://owner/name, got hf://${designation}.`);
  return {
    place: `hf://${designation}`,
    isHub: true,
    open: async (path) => {
      const { downloadFile, HubApiError } = await import('@huggingface/hub');
      try {
        return (await downloadFile({ repo, path, revision, ...options })) ?? undefined;
      } catch (error) {
        if (error instanceof HubApiError && error.statusCode === 404) return undefined;
        throw error;
      }
    },
  };
}

function atAddress(base: URL, options: DownloadOptions): CheckpointFiles {
  const folder = base.href.endsWith('/') ? base.href : `${base.href}/`;
  return {
    place: folder,
    open: async (name) => {
      const url = new URL(name, folder).href;
      const get = options.fetch ?? fetch;
      // One byte tells the size, and whether the server sends ranges; without them the file comes as a whole.
      const probe = await get(url, { headers: { Range: 'bytes=0-0' } });
      if (probe.status === 404) {
        await probe.body?.cancel();
        return undefined;
      }
      if (!probe.ok)
        throw new ConfigError(`checkpoint: ${url} must be readable, got status ${probe.status}.`);
      const size = Number(probe.headers.get('content-range')?.split('/')[1]);
      if (probe.status !== 206 || !Number.isSafeInteger(size)) return probe.blob();
      await probe.body?.cancel();
      const { downloadFile } = await import('@huggingface/hub');
      const downloadInfo = { url, size, etag: '' };
      const blob = await downloadFile({ repo: 'any/where', path: name, downloadInfo, fetch: options.fetch });
      return blob ?? undefined;
    },
  };
}
