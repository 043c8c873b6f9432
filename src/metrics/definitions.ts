// Every metric Fairway exports, with the text its users read. docs/metrics.md is generated from this list.
// Names follow the Prometheus conventions: a prefix, units in the name, `_total` on counters.

export interface MetricDefinition {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
}

/** Labels of everything counted by route. Their values come from configured routes only, never from requests. */
export const routeLabelNames = ["namespace", "ingress", "service", "host", "path", "canary"] as const;

/** Upper bounds of the request durations, in seconds; the same as ingress-nginx's. */
export const durationBucketsSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Upper bounds of the durations of reloads, in seconds. */
export const reloadBucketsSeconds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
] as const;

const routeLabels = [...routeLabelNames];

export const metricDefinitions = {
  requests: {
    name: "fairway_requests_total",
    type: "counter",
    help: "Requests that reached a route, by the status of the response. Methods other than PATCH and those of RFC 9110 count as OTHER.",
    labels: [...routeLabels, "method", "status"],
  },
  requestDuration: {
    name: "fairway_request_duration_seconds",
    type: "histogram",
    help: "Time from the first byte of a request's head to the last byte of its response.",
    labels: routeLabels,
  },
  requestBytes: {
    name: "fairway_request_received_bytes_total",
    type: "counter",
    help: "Bytes of request content received from clients.",
    labels: routeLabels,
  },
  responseBytes: {
    name: "fairway_response_sent_bytes_total",
    type: "counter",
    help: "Bytes of response content sent to clients.",
    labels: routeLabels,
  },
  downstreamConnections: {
    name: "fairway_downstream_connections",
    type: "gauge",
    help: "Open connections of clients, by listener (http or https).",
    labels: ["listener"],
  },
  connectionsRefused: {
    name: "fairway_downstream_connections_refused_total",
    type: "counter",
    help: "Connections of clients that were not taken: too many were open in all (total) or of one client (client), because too many bytes waited in those that exist (buffers), or because of overload (event_loop, heap, memory).",
    labels: ["reason"],
  },
  downstreamAccepted: {
    name: "fairway_downstream_connections_accepted_total",
    type: "counter",
    help: "Connections accepted from clients, by listener (http or https).",
    labels: ["listener"],
  },
  tlsHandshakeFailures: {
    name: "fairway_tls_handshake_failures_total",
    type: "counter",
    help: "Connections of clients that ended before their TLS handshake was complete.",
    labels: [],
  },
  upstreamConnections: {
    name: "fairway_upstream_connections",
    type: "gauge",
    help: "Open connections to endpoints: active (serving a request) or idle (kept for the next one).",
    labels: ["state"],
  },
  bufferedBytes: {
    name: "fairway_buffered_bytes",
    type: "gauge",
    help: "Bytes held in connections until a client or an endpoint takes them or their turn comes (waiting), and content kept: of requests for endpoints, of responses that are read ahead (kept_content).",
    labels: ["kind"],
  },
  upstreamOpened: {
    name: "fairway_upstream_connections_opened_total",
    type: "counter",
    help: "Connections established to endpoints.",
    labels: [],
  },
  upstreamConnectFailures: {
    name: "fairway_upstream_connect_failures_total",
    type: "counter",
    help: "Attempts to connect to an endpoint that failed or timed out.",
    labels: [],
  },
  refusedRequests: {
    name: "fairway_refused_requests_total",
    type: "counter",
    help: "Requests that Fairway answered itself because of an error, by code of the error table.",
    labels: ["code"],
  },
  retries: {
    name: "fairway_upstream_retries_total",
    type: "counter",
    help: "Requests sent again, to the same or another endpoint, by code of the error that caused it, or `http_` and the status of the response that was discarded.",
    labels: ["code"],
  },
  retriesOverBudget: {
    name: "fairway_upstream_retries_over_budget_total",
    type: "counter",
    help: "Requests that were not sent again because retries already made up their share of the active requests.",
    labels: [],
  },
  ejections: {
    name: "fairway_endpoint_ejections_total",
    type: "counter",
    help: "Times an endpoint was ejected, by reason: failures (no connection, or no response on one), statuses (5xx), breaks (responses that broke off). A trial that fails counts too.",
    labels: ["reason"],
  },
  endpointsEjected: {
    name: "fairway_endpoints_ejected",
    type: "gauge",
    help: "Endpoints that are ejected now, each once, whether or not the ejection has an effect in all of its upstreams.",
    labels: [],
  },
  upstreamsPanicking: {
    name: "fairway_upstreams_in_panic",
    type: "gauge",
    help: "Upstreams that send requests to all of their endpoints, because fewer are usable than their panic threshold asks for.",
    labels: [],
  },
  healthCheckProbes: {
    name: "fairway_health_check_probes_total",
    type: "counter",
    help: "Probes of endpoints that ended, by the type of the check and their result: passed, failed (an answer that does not pass), timeout, unreachable (no connection), ownFault (this machine could not probe; it does not count against the endpoint).",
    labels: ["type", "result"],
  },
  healthCheckProbesActive: {
    name: "fairway_health_check_probes_active",
    type: "gauge",
    help: "Probes under way.",
    labels: [],
  },
  healthCheckProbesWaiting: {
    name: "fairway_health_check_probes_waiting",
    type: "gauge",
    help: "Probes that are due and wait because too many are under way.",
    labels: [],
  },
  healthCheckEndpoints: {
    name: "fairway_health_check_endpoints",
    type: "gauge",
    help: "Endpoints that are probed, once for each different check, by state: unknown (no verdict yet), passing or failing.",
    labels: ["state"],
  },
  healthCheckFailing: {
    name: "fairway_upstream_endpoints_failing_check",
    type: "gauge",
    help: "Endpoints of an upstream with a health check that are not used because they fail it.",
    labels: ["namespace", "service", "port"],
  },
  internalErrors: {
    name: "fairway_internal_errors_total",
    type: "counter",
    help: "Connections closed because of a mistake in Fairway itself. Anything but 0 is worth a bug report.",
    labels: [],
  },
  tableGeneration: {
    name: "fairway_table_generation",
    type: "gauge",
    help: "Number of the last routing table published; grows by one with every change of routes or endpoints.",
    labels: [],
  },
  workerGeneration: {
    name: "fairway_workers_table_generation",
    type: "gauge",
    help: "Number of the routing table that every worker has applied: that of the slowest. 0 before the first.",
    labels: [],
  },
  workers: {
    name: "fairway_workers",
    type: "gauge",
    help: "Worker threads that serve.",
    labels: [],
  },
  workerRestarts: {
    name: "fairway_worker_restarts_total",
    type: "counter",
    help: "Worker threads replaced because they had died (crash) or no longer answered (stuck). Their connections were lost.",
    labels: ["reason"],
  },
  overloaded: {
    name: "fairway_overloaded",
    type: "gauge",
    help: "Workers that take no new connections because their event loop is late or their heap is full (event_loop, heap); 1 while the process is short of memory (memory).",
    labels: ["reason"],
  },
  reloads: {
    name: "fairway_config_reloads_total",
    type: "counter",
    help: "Changes of configuration that were applied (success) or not (failure).",
    labels: ["result"],
  },
  reloadDuration: {
    name: "fairway_config_reload_duration_seconds",
    type: "histogram",
    help: "Time to build and publish a table, from the start of its translation.",
    labels: [],
  },
  lastReloadSuccessful: {
    name: "fairway_config_last_reload_successful",
    type: "gauge",
    help: "1 when the last change of configuration was applied, 0 when it was not.",
    labels: [],
  },
  lastReloadSuccess: {
    name: "fairway_config_last_reload_success_timestamp_seconds",
    type: "gauge",
    help: "Unix time of the last change of configuration that was applied; 0 before the first.",
    labels: [],
  },
  diagnostics: {
    name: "fairway_diagnostics",
    type: "gauge",
    help: "Present diagnostics about Kubernetes objects, by severity (error, warning, info).",
    labels: ["severity"],
  },
  certificateExpiry: {
    name: "fairway_certificate_expiry_timestamp_seconds",
    type: "gauge",
    help: "Unix time after which the certificate of a TLS Secret is no longer valid.",
    labels: ["namespace", "secret"],
  },
  apiContactAge: {
    name: "fairway_kubernetes_last_contact_age_seconds",
    type: "gauge",
    help: "Time since the Kubernetes API last said anything about a kind. A quiet watch still says something about once a minute; what keeps growing is out of touch, and what was read last keeps serving.",
    labels: ["kind"],
  },
  apiWatchRestarts: {
    name: "fairway_kubernetes_watch_restarts_total",
    type: "counter",
    help: "Watches of the Kubernetes API begun again, by kind. One every 5 to 10 minutes is normal.",
    labels: ["kind"],
  },
  apiErrors: {
    name: "fairway_kubernetes_errors_total",
    type: "counter",
    help: "Requests to the Kubernetes API that failed or broke off, by kind and reason.",
    labels: ["kind", "reason"],
  },
  leaderElectionStatus: {
    name: "fairway_leader_election_status",
    type: "gauge",
    help: "1 while this replica is the one that writes to the cluster, otherwise 0; by the name of the Lease.",
    labels: ["name"],
  },
  leaderElectionErrors: {
    name: "fairway_leader_election_errors_total",
    type: "counter",
    help: "Looks at the Lease that failed, and renewals of it.",
    labels: [],
  },
  statusDifferences: {
    name: "fairway_status_differences",
    type: "gauge",
    help: "Ingresses of ours whose status is another than it should be. Of the replica that writes, and of each with --status=observe; otherwise 0.",
    labels: [],
  },
  statusWrites: {
    name: "fairway_status_writes_total",
    type: "counter",
    help: "Writes of the status of an Ingress, by result (success, failure).",
    labels: ["result"],
  },
  events: {
    name: "fairway_events_total",
    type: "counter",
    help: "Events about diagnostics, by result: written (or found to be there), failed, delayed (more than 1000 were waiting).",
    labels: ["result"],
  },
  admissionReviews: {
    name: "fairway_admission_reviews_total",
    type: "counter",
    help: "Requests to the validating webhook: allowed, warned (allowed with warnings), refused, foreign (another controller's), skipped (other kinds, deletions), invalid (no proper review), not_ready (before the first table), busy (too many at once), error (a bug).",
    labels: ["outcome"],
  },
  admissionDuration: {
    name: "fairway_admission_review_duration_seconds",
    type: "histogram",
    help: "Time to judge a request to the validating webhook, from its last byte to the answer.",
    labels: [],
  },
  buildInfo: {
    name: "fairway_build_info",
    type: "gauge",
    help: "Always 1; the labels say which Fairway on which Node.js this is.",
    labels: ["version", "node_version"],
  },
} as const satisfies Record<string, MetricDefinition>;

export type MetricKey = keyof typeof metricDefinitions;
