// The entry of the program: `bin/fairway` runs this file.
import { makeProgram } from "./program.ts";
import { StartError } from "./start-error.ts";

// `fairway translate DIR | head` closes our output early; that is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});
// Log lines that nobody can read must not end the proxy.
process.stderr.on("error", () => undefined);

try {
  const { program, words } = makeProgram(process.argv.slice(2));
  await program.parseAsync(words, { from: "user" });
} catch (cause) {
  if (!(cause instanceof StartError)) throw cause;
  console.error(`fairway: ${cause.message}`);
  process.exitCode = 1;
}
