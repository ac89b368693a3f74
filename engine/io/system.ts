// What the operating system gives. Bundlers for browsers take system.browser.ts instead: package.json, `imports`.

/** Node's and Deno's file functions. @internal */
export function fileSystem(): Promise<typeof import('node:fs/promises')> {
  return import('node:fs/promises');
}

/** Bytes of the machine's memory that are free. @internal */
export async function freeMemoryBytes(): Promise<number> {
  return (await import('node:os')).freemem();
}

/** Node's and Deno's hash functions. @internal */
export function hashFunctions(): Promise<typeof import('node:crypto')> {
  return import('node:crypto');
}
