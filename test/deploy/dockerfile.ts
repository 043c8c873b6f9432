// Runs a Dockerfile of a few plain instructions by hand: each stage in a directory of its own, on this machine's Node.
// What it cannot show is what an engine adds: the base images, and the layers.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import path from "node:path";

export interface Image {
  /** The root file system. */
  readonly root: string;
  readonly user: string;
  readonly entrypoint: readonly string[];
}

/** `context`: what COPY copies from; `directory`: where stages are made. */
export function buildImage(dockerfile: string, context: string, directory: string): Image {
  let stage = directory;
  let workdir = "/";
  let user = "";
  let entrypoint: readonly string[] = [];
  const inside = (file: string): string => path.join(stage, path.resolve(workdir, file));
  for (const [instruction, rest] of instructionsOf(dockerfile)) {
    if (instruction === "FROM") {
      stage = path.join(directory, / AS (\w+)$/.exec(rest)?.[1] ?? "image");
      workdir = "/";
      mkdirSync(stage, { recursive: true });
    } else if (instruction === "WORKDIR") {
      workdir = rest;
      mkdirSync(inside("."), { recursive: true });
    } else if (instruction === "COPY") {
      const words = rest.split(" ");
      const from = /^--from=(\w+)$/.exec(words[0] ?? "")?.[1];
      const sources = words.slice(from === undefined ? 0 : 1, -1);
      const source = from === undefined ? context : path.join(directory, from);
      for (const each of sources)
        copy(path.join(source, each), inside(words.at(-1) ?? ""), from !== undefined);
    } else if (instruction === "RUN") {
      // Paths of RUN are relative, since there is no root of its own here.
      execFileSync("sh", ["-euc", rest], { cwd: inside("."), stdio: ["ignore", "ignore", "inherit"] });
    } else if (instruction === "USER") user = rest;
    else if (instruction === "ENTRYPOINT") entrypoint = JSON.parse(rest) as string[];
    else if (instruction !== "ARG" && instruction !== "EXPOSE") throw new Error(`no ${instruction} here`);
  }
  return { root: stage, user, entrypoint };
}

/** The content of a directory, or a file into one. */
function copy(from: string, to: string, isDirectory: boolean): void {
  const isWhole = isDirectory || path.basename(from) === path.basename(to);
  cpSync(from, isWhole ? to : path.join(to, path.basename(from)), { recursive: true });
}

function instructionsOf(dockerfile: string): readonly (readonly [string, string])[] {
  return dockerfile
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)] as const);
}
