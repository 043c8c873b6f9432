// Configuration of the peers that are programs of their own, as near as theirs comes to what Fairway does: one
// thread, a keep-alive pool to the backend, the fields that ingress-nginx adds, no access log.

export interface NativeOptions {
  readonly port: number;
  readonly backendPort: number;
  /** For its files; it may be removed afterwards. */
  readonly directory: string;
}

/** Pool size and requests per connection are ingress-nginx's defaults. */
export function nginxConfig({ port, backendPort, directory }: NativeOptions): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log stderr error;
events { worker_connections 4096; multi_accept on; }
http {
  access_log off;
  server_tokens off;
  keepalive_requests 1000;
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join("\n  ")}
  upstream backend {
    server 127.0.0.1:${backendPort};
    keepalive 320;
    keepalive_requests 10000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_set_header X-Request-ID $request_id;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Scheme $scheme;
      proxy_set_header X-Scheme $scheme;
    }
  }
}
`;
}

export function haproxyConfig({ port, backendPort }: NativeOptions): string {
  return `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend bench
  bind 127.0.0.1:${port}
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  option forwardfor
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Scheme http
  http-request set-header X-Scheme http
  default_backend backend
backend backend
  server one 127.0.0.1:${backendPort}
`;
}
