// The commands of `fairway` and what they take. What they do is loaded when they are called.
import { Command, Option } from "commander";
import { addFlags, flagValues, normalizeWords } from "./arguments.ts";
import {
  clusterFlags,
  controllerFlags,
  demoFlags,
  operationFlags,
  translateFlags,
  type FlagValues,
} from "./flags.ts";
import { admissionFlags } from "./admission-flags.ts";
import { packageVersion } from "./version.ts";

export type TranslateOutput = "text" | "json";

/** `words` are those to be parsed instead of the given ones. */
export function makeProgram(given: readonly string[]): { program: Command; words: string[] } {
  const program = new Command("fairway")
    .description("Layer-7 ingress controller and load balancer for Kubernetes.")
    .version(packageVersion(), "--version", "Print the version.")
    .helpOption("-h, --help", "Print this text.")
    .helpCommand("help [command]", "Print the text of a command.")
    .configureHelp({ sortOptions: false, showGlobalOptions: false })
    .configureOutput({
      outputError: (text, write) =>
        write(text.replace(/^error: /, "fairway: ").replace(/\n\(Did you mean/, " (did you mean")),
    })
    .addHelpText("after", "\nTry: fairway demo");
  program.addCommand(controllerCommand(program));
  program.addCommand(translateCommand(program));
  program.addCommand(demoCommand(program));
  const all = { ...controllerFlags, ...demoFlags, ...translateFlags, ...operationFlags };
  return { program, words: normalizeWords(given, all, (message) => program.error(`error: ${message}`)) };
}

/** A command that looks and fails like the program it belongs to. */
function subcommand(program: Command, name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .copyInheritedSettings(program)
    .helpOption("-h, --help", "Print this text.");
}

function controllerCommand(program: Command): Command {
  const command = subcommand(
    program,
    "controller",
    "Serve the Ingresses of a Kubernetes cluster, or a directory of manifests, and watch for changes.",
  );
  addFlags(command, controllerFlags);
  command.addHelpText(
    "after",
    "\nExample: fairway controller --kubeconfig ~/.kube/config --http-port 8080 --https-port 8443\n         fairway controller --manifests ./manifests --http-port 8080 --https-port 8443",
  );
  return command.action(async () => {
    const values = flagValues(command, controllerFlags);
    const translate = flagValues(command, translateFlags);
    const conflict = conflictOf(values, translate);
    if (conflict !== null) command.error(`error: ${conflict}`);
    const { runController } = await import("./controller-command.ts");
    await runController(values, translate);
  });
}

/** Two flags of which one would do nothing; null: there are none. */
function conflictOf(
  values: FlagValues<typeof controllerFlags>,
  { watchNamespace }: FlagValues<typeof translateFlags>,
): string | null {
  if (watchNamespace !== "" && values.watchNamespaceSelector !== "") {
    return "--watch-namespace and --watch-namespace-selector exclude each other";
  }
  if (values.apiserverHost === "" && values.certificateAuthority !== "") {
    return "--certificate-authority is that of --apiserver-host, which is missing";
  }
  if (values.publishService !== "" && values.publishStatusAddress.length > 0) {
    return "--publish-service and --publish-status-address exclude each other";
  }
  const { validatingWebhook, validatingWebhookCertificate, validatingWebhookKey } = values;
  const files = [validatingWebhookCertificate, validatingWebhookKey].filter((each) => each !== "").length;
  if (validatingWebhook === null && files > 0) {
    return "the certificate and key are those of --validating-webhook, which is missing";
  }
  if (validatingWebhook !== null && files < 2) {
    return "--validating-webhook needs --validating-webhook-certificate and --validating-webhook-key";
  }
  if (values.manifests.length === 0) return null;
  const ofCluster = { ...clusterFlags, ...admissionFlags };
  const unused = Object.entries(ofCluster).find(
    ([key, { default: value }]) => values[key as keyof typeof ofCluster] !== value,
  );
  return unused === undefined ? null : `--manifests and --${unused[1].name} exclude each other`;
}

function translateCommand(program: Command): Command {
  const command = subcommand(
    program,
    "translate",
    "Print the routing table that manifests make, and what is wrong with them. Ends with 1 when there are errors.",
  );
  command.argument("<directory...>", "Directories of manifests.");
  command.addOption(
    new Option("--output <format>", "text, or json: the routing IR and the diagnostics.")
      .choices(["text", "json"])
      .default("text", "text")
      .helpGroup("Output:"),
  );
  addFlags(command, translateFlags);
  return command.action(async (directories: string[]) => {
    const { runTranslate } = await import("./translate-command.ts");
    // Commander has checked it against the choices.
    const output = command.opts()["output"] as TranslateOutput;
    process.exitCode = await runTranslate(directories, flagValues(command, translateFlags), output);
  });
}

function demoCommand(program: Command): Command {
  const command = subcommand(
    program,
    "demo",
    "Serve the manifests in deploy/demo, with small backends of its own, on loopback.",
  );
  addFlags(command, demoFlags);
  return command.action(async () => {
    const { runDemo } = await import("./demo.ts");
    await runDemo(flagValues(command, demoFlags));
  });
}
