// `npm run bench`: what a proxied request costs on keep-alive connections, beside other proxies in the same rounds.
import { runScenario } from "./lib/command.ts";
import { compare } from "./lib/comparison.ts";
import { HOST } from "./lib/peers.ts";

await runScenario({
  name: "keep-alive",
  script: "bench",
  title: "Keep-alive requests",
  question: "What does a proxied request cost on keep-alive connections, compared with other proxies?",
  numbers: {
    rounds: { default: 7, min: 1, help: "measured rounds; each runs every peer once" },
    seconds: { default: 3, min: 0.2, isFraction: true, help: "length of one measurement" },
    connections: { default: 64, min: 1, help: "keep-alive connections of the load" },
    body: { default: 1024, min: 0, help: "bytes of content in each response" },
    workers: { default: 1, min: 1, help: "threads of Fairway; the peers have one" },
  },
  peers: ["fairway", "nginx", "haproxy", "caddy", "http-proxy", "undici"],
  hasLoadChoice: true,
  run: (context) => {
    const { connections, seconds, body, workers } = context.numbers;
    return compare(context, {
      contentBytes: body,
      fairwayWorkers: workers,
      unit: "request",
      maxRatios: { nginx: 1.05, caddy: 0.4, "http-proxy": 0.3 },
      job: ({ httpPort }) => ({ url: `http://127.0.0.1:${httpPort}/`, connections, seconds, host: HOST }),
      notes: [`${connections} connections, one request at a time on each; ${body} bytes of content.`],
    });
  },
});
