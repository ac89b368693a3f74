// Files that were dropped or pasted.

/** What a drop holds: an image, or the files of a checkpoint. */
export type Dropped = { readonly image: File } | { readonly checkpoint: readonly File[] };

/** Every file, those in folders too. */
export async function droppedFiles(transfer: DataTransfer): Promise<File[]> {
  // Entries are gone after the first await, so all are taken before it.
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  if (entries.length === 0) return [...transfer.files];
  return (await Promise.all(entries.map(filesOf))).flat();
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile)
    return [
      await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)),
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
  if (files.some(({ name }) => /\.(json|safetensors)$/.test(name))) return { checkpoint: files };
  return files.length > 0 ? { image: files[0] } : undefined;
}

/** The image on the clipboard, if there is one. */
export function pastedImage({ clipboardData }: ClipboardEvent): File | undefined {
  return [...(clipboardData?.files ?? [])].find(({ type }) => type.startsWith('image/'));
}
