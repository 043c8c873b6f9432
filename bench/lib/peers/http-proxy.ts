// Peer: the http-proxy package as its documentation sets it up, with a keep-alive agent (without one it opens a
// connection per request) and `xfwd` for the X-Forwarded fields.
//
//   node bench/lib/peers/http-proxy.ts <backend port> <certificate file> <key file>
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import httpProxy from "http-proxy";
import { reportReady } from "../child-side.ts";

const proxy = httpProxy.createProxyServer({
  target: `http://127.0.0.1:${process.argv[2]}`,
  agent: new http.Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 1024 }),
  xfwd: true,
});
proxy.on("error", (_error, _request, response) => {
  if ("writeHead" in response && !response.headersSent) response.writeHead(502);
  response.end();
});

const [, , , certificateFile = "", keyFile = ""] = process.argv;
const credentials = { cert: fs.readFileSync(certificateFile), key: fs.readFileSync(keyFile) };
const listener = (request: http.IncomingMessage, response: http.ServerResponse): void =>
  proxy.web(request, response);
const server = http.createServer(listener).listen(0, "127.0.0.1");
const tlsServer = https.createServer(credentials, listener).listen(0, "127.0.0.1");
await Promise.all([once(server, "listening"), once(tlsServer, "listening")]);
reportReady(server, tlsServer);
