// `npm run bench:large`: what large content costs by the byte, beside nginx as it comes and nginx with large buffers.
import { runScenario } from "./lib/command.ts";
import { compare } from "./lib/comparison.ts";
import { HOST } from "./lib/peers.ts";

await runScenario({
  name: "large",
  script: "bench:large",
  title: "Large content",
  question: "How much content of 1 MiB each does a second of CPU time carry, compared with other proxies?",
  numbers: {
    rounds: { default: 5, min: 1, help: "measured rounds; each runs every peer once" },
    seconds: { default: 3, min: 0.2, isFraction: true, help: "length of one measurement" },
    connections: { default: 16, min: 1, help: "keep-alive connections of the load" },
    body: { default: 1024 * 1024, min: 1, help: "bytes of content in each response" },
  },
  peers: ["fairway", "nginx-tuned", "nginx", "haproxy", "caddy", "http-proxy", "undici"],
  hasLoadChoice: true,
  run: (context) => {
    const { connections, seconds, body } = context.numbers;
    return compare(context, {
      contentBytes: body,
      unit: "response",
      isByBytes: true,
      warmUpResponses: 3_000,
      maxRatios: { "nginx-tuned": 0.9 },
      job: ({ httpPort }) => ({ url: `http://127.0.0.1:${httpPort}/`, connections, seconds, host: HOST }),
      notes: [
        `${connections} connections, one response at a time on each; ${body} bytes of content with Content-Length.`,
        "nginx-tuned has `proxy_buffers 16 64k`, nginx its defaults (8 buffers of 4 or 8 KiB).",
      ],
    });
  },
});
