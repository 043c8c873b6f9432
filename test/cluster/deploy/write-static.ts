// `npm run deploy:static`: writes deploy/static/fairway.yaml. Needs Go, for the helm that it builds.
//   node test/cluster/deploy/write-static.ts
import { writeFileSync } from "node:fs";
import { buildProgram } from "../harness/binary.ts";
import { renderStatic, staticFile } from "./static-manifest.ts";

process.env["FAIRWAY_TOOLS"] = await buildProgram("tools", (line) => console.log(line));
writeFileSync(staticFile, await renderStatic());
