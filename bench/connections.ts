// `npm run bench:connections`: what a request costs that comes on a connection of its own, beside other proxies.
import { runScenario } from "./lib/command.ts";
import { compare } from "./lib/comparison.ts";
import { HOST } from "./lib/peers.ts";

const CONTENT_BYTES = 1024;

await runScenario({
  name: "connections",
  script: "bench:connections",
  title: "A new connection for each request",
  question: "What does a connection with a single request cost, compared with other proxies?",
  numbers: {
    rounds: { default: 5, min: 1, help: "measured rounds; each runs every peer once" },
    seconds: { default: 3, min: 0.2, isFraction: true, help: "length of one measurement" },
    connections: { default: 64, min: 1, help: "connections at a time" },
  },
  peers: ["fairway", "nginx", "haproxy", "caddy", "http-proxy", "undici"],
  hasLoadChoice: true,
  run: (context) => {
    const { connections, seconds } = context.numbers;
    return compare(context, {
      contentBytes: CONTENT_BYTES,
      unit: "connection",
      maxRatios: { nginx: 1.3 },
      warmUpResponses: 10_000,
      job: ({ httpPort }) => ({
        url: `http://127.0.0.1:${httpPort}/`,
        connections,
        seconds,
        host: HOST,
        isClosing: true,
      }),
      notes: [
        `${connections} connections at a time, each with one request that says \`Connection: close\`; ${CONTENT_BYTES} bytes of content; keep-alive to the backend, but for http-proxy, which passes \`Connection: close\` on.`,
      ],
    });
  },
});
