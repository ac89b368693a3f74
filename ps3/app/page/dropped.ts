// Files that were dropped or pasted.

/** What a drop holds: an image, or the files of a checkpoint. */
export type Dropped = { readonly image: File } | { readonly checkpoint: readonly File[] };

/** Every file, those in folders too, named by its path. */
export async function droppedFiles(transfer: DataTransfer): Promise<File[]> {
  // Entries are gone after the first await, so all are taken before it.
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  if (entries.length === 0) return [...transfer.files];
  return (await Promise.all(entries.map(filesOf))).flat();
}

/** Files of a chosen folder, named by their paths. */
export function chosenFiles(files: FileList): File[] {
  return [...files].map((file) => named(file, file.webkitRelativePath || file.name));
}

const named = (file: File, name: string): File => new File([file], name, { type: file.type });

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile)
    return [
      named(
        await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)),
        entry.fullPath.slice(1),
      ),
    ];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  // A reader gives a part at a time, and an empty one at the end.
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (part.length === 0) return files;
    files.push(...(await Promise.all(part.map(filesOf))).flat());
  }
}

/** Sorts files out; undefined when there are none. */
export function sortedOut(files: readonly File[]): Dropped | undefined {
  if (files.some(({ name }) => /\.(json|safetensors)$/.test(name)))
    return { checkpoint: fromCheckpoint(files) };
  return files.length > 0 ? { image: files[0] } : undefined;
}

/** The files of a checkpoint, whose folder is that of the topmost config.json, by their names in it. */
export function fromCheckpoint(files: readonly File[]): File[] {
  const configs = files.map(({ name }) => name).filter((name) => /(^|\/)config\.json$/.test(name));
  const depth = (name: string): number => name.split('/').length;
  const [config = ''] = configs.sort((a, b) => depth(a) - depth(b));
  const folder = config.slice(0, -'config.json'.length);
  return files.flatMap((file) =>
    file.name.startsWith(folder) ? [named(file, file.name.slice(folder.length))] : [],
  );
}

/** The image on the clipboard, if there is one. */
export function pastedImage({ clipboardData }: ClipboardEvent): File | undefined {
  return [...(clipboardData?.files ?? [])].find(({ type }) => type.startsWith('image/'));
}
