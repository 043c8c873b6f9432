// Reading the file system for the directory source: the tree, and single files. Knows nothing of objects.
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { compareText } from "../../ir/order.ts";

/** Larger files are not read. */
export const fileMaxBytes = 64 * 1024 * 1024;

export function isManifestName(name: string): boolean {
  return /^[^.].*\.(yaml|yml|json)$/i.test(name);
}

/** One walk over the tree. Hidden entries are passed over, among them `..data` of a mounted ConfigMap. */
export class Walk {
  /** Device and inode by absolute path. */
  readonly directories = new Map<string, string>();
  /** Relative to the root. */
  readonly unreadable: string[] = [];
  readonly #root: string;
  readonly #onDirectory: (directory: string, inode: string) => void;
  readonly #found: { readonly path: string; readonly inode: string; readonly signature: string }[] = [];
  readonly #inodes = new Set<string>();

  constructor(root: string, onDirectory: (directory: string, inode: string) => void) {
    this.#root = root;
    this.#onDirectory = onDirectory;
  }

  run(): Promise<void> {
    return this.#directory("");
  }

  /** Signatures by path. A file that two paths lead to (symlinks, hard links) counts once, under the first. */
  files(): ReadonlyMap<string, string> {
    const result = new Map<string, string>();
    const seen = new Set<string>();
    for (const { path, inode, signature } of this.#found.sort((a, b) => compareText(a.path, b.path))) {
      if (seen.has(inode)) continue;
      seen.add(inode);
      result.set(path, signature);
    }
    return result;
  }

  async #directory(path: string): Promise<void> {
    const absolute = join(this.#root, path);
    try {
      const { dev, ino } = await stat(absolute, { bigint: true });
      // A symlink to a directory above would lead round in circles.
      const inode = `${dev}:${ino}`;
      if (this.#inodes.has(inode)) return;
      this.#inodes.add(inode);
      this.directories.set(absolute, inode);
      // Watched before it is listed, so that nothing can change unseen in between.
      this.#onDirectory(absolute, inode);
      const names = await readdir(absolute);
      await Promise.all(
        names.filter((name) => !name.startsWith(".")).map((name) => this.#entry(join(path, name))),
      );
    } catch (cause) {
      if (path === "" || errorCode(cause) !== "ENOENT") this.unreadable.push(path);
    }
  }

  async #entry(path: string): Promise<void> {
    try {
      const stats = await stat(join(this.#root, path), { bigint: true });
      if (stats.isDirectory()) await this.#directory(path);
      else if (stats.isFile() && isManifestName(basename(path))) {
        this.#found.push({ path, inode: `${stats.dev}:${stats.ino}`, signature: signatureOf(stats) });
      }
    } catch {
      // Gone since it was listed, or a symlink to nowhere: as if it were not there.
    }
  }
}

interface Stats {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

function signatureOf({ dev, ino, size, mtimeNs, ctimeNs }: Stats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/** Two signatures are of two files, not of one that was written to. */
export function isOtherFile(before: string, now: string): boolean {
  const [oldDevice, oldInode] = before.split(":");
  const [device, inode] = now.split(":");
  return oldInode !== undefined && inode !== undefined && (device !== oldDevice || inode !== oldInode);
}

export type FoundFile =
  | { readonly kind: "text"; readonly text: string; readonly signature: string }
  | { readonly kind: "gone" }
  | { readonly kind: "unreadable"; readonly message: string; readonly signature: string };

export async function readManifestFile(absolute: string): Promise<FoundFile> {
  let signature = "";
  try {
    // Taken before the read: a change in between makes the next scan read again.
    const stats = await stat(absolute, { bigint: true });
    signature = signatureOf(stats);
    if (!stats.isFile()) return { kind: "gone" };
    if (stats.size > fileMaxBytes) {
      return { kind: "unreadable", message: `it is larger than ${fileMaxBytes} bytes`, signature };
    }
    const text = await readFile(absolute, "utf8");
    return { kind: "text", text: text.replace(/^\uFEFF/, ""), signature };
  } catch (cause) {
    const code = errorCode(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return { kind: "gone" };
    return { kind: "unreadable", message: `it cannot be read (${code})`, signature };
  }
}

export async function readDirectoryProblem(directory: string): Promise<string | null> {
  try {
    await readdir(directory);
    return null;
  } catch (cause) {
    const code = errorCode(cause);
    const words: Record<string, string> = {
      ENOENT: "there is no such directory",
      ENOTDIR: "it is not a directory",
      EACCES: "permission denied",
    };
    return words[code] ?? code;
  }
}

function errorCode(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
}
