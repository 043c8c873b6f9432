// Configuration of the peers that are programs of their own, as near as theirs comes to what Fairway does: one
// thread, a keep-alive pool to the backend, the fields that ingress-nginx adds, no access log, TLS 1.2 and 1.3 with
// session tickets.

export interface NativeOptions {
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly backendPort: number;
  /** For its files; it may be removed afterwards. */
  readonly directory: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Certificate and key in one. */
  readonly bothFile: string;
}

const HSTS = "max-age=31536000; includeSubDomains";

/** Pool size and requests per connection are ingress-nginx's defaults. `isTuned`: 64 KiB buffers for large content. */
/** The fields that Fairway sets too. */
const nginxFields = `
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  proxy_set_header X-Request-ID $request_id;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Port $server_port;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Scheme $scheme;
  proxy_set_header X-Scheme $scheme;`;

/** One worker that keeps connections on both sides and writes no log. `http`: what belongs into its block. */
export function nginxProcess(directory: string, connections: number, http: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log stderr error;
events { worker_connections ${connections}; multi_accept on; }
http {
  access_log off;
  server_tokens off;
  keepalive_requests 1000;
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join("\n  ")}
  proxy_http_version 1.1;
  proxy_max_temp_file_size 0;${nginxFields}
${http}
}
`;
}

/** `servers`: lines such as `server 127.0.0.1:80;`. */
export function nginxBackend(servers: readonly string[]): string {
  return `
  upstream backend {
    ${servers.join("\n    ")}
    keepalive 320;
    keepalive_requests 10000;
  }`;
}

export function nginxConfig(options: NativeOptions, isTuned: boolean): string {
  const { httpPort, httpsPort, backendPort, directory } = options;
  const buffers = isTuned
    ? "proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 512k;"
    : "# proxy buffers: the defaults";
  return nginxProcess(
    directory,
    16_384,
    `${nginxBackend([`server 127.0.0.1:${backendPort};`])}
  ${buffers}
  server {
    listen 127.0.0.1:${httpPort} backlog=4096;
    location / { proxy_pass http://backend; }
  }
  server {
    listen 127.0.0.1:${httpsPort} ssl backlog=4096;
    ssl_certificate ${options.certificateFile};
    ssl_certificate_key ${options.keyFile};
    ssl_protocols TLSv1.2 TLSv1.3;
    add_header Strict-Transport-Security "${HSTS}";
    location / { proxy_pass http://backend; }
  }`,
  );
}

export function haproxyConfig({ httpPort, httpsPort, backendPort, bothFile }: NativeOptions): string {
  return `
global
  nbthread 1
  maxconn 9000
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend bench
  bind 127.0.0.1:${httpPort} backlog 4096
  bind 127.0.0.1:${httpsPort} ssl crt ${bothFile} backlog 4096
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  option forwardfor
  http-request set-var(txn.scheme) str(https) if { ssl_fc }
  http-request set-var(txn.scheme) str(http) unless { ssl_fc }
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto %[var(txn.scheme)]
  http-request set-header X-Forwarded-Scheme %[var(txn.scheme)]
  http-request set-header X-Scheme %[var(txn.scheme)]
  http-response set-header Strict-Transport-Security "${HSTS}" if { ssl_fc }
  default_backend backend
backend backend
  server one 127.0.0.1:${backendPort}
`;
}

/** X-Forwarded-For, -Host and -Proto are added without being asked for. */
export function caddyConfig(options: NativeOptions): string {
  const proxy = (port: number): string => `
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${options.backendPort} {
    header_up X-Request-ID {http.request.uuid}
    header_up X-Real-IP {http.request.remote.host}
    header_up X-Forwarded-Port ${port}
    header_up X-Forwarded-Scheme {http.request.scheme}
    header_up X-Scheme {http.request.scheme}
    transport http {
      compression off
      keepalive_idle_conns_per_host 320
    }
  }`;
  return `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://:${options.httpPort} {${proxy(options.httpPort)}
}
https://:${options.httpsPort} {
  tls ${options.certificateFile} ${options.keyFile}
  header Strict-Transport-Security "${HSTS}"${proxy(options.httpsPort)}
}
`;
}
