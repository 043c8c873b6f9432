import { describe, expect, test } from "vitest";
import { metricDefinitions } from "../../src/metrics/definitions.ts";
import { Metrics } from "../../src/metrics/prometheus.ts";
import { closedCounts, ProxyMetrics } from "../../src/metrics/proxy-metrics.ts";
import { retiredCellsKeepMs, routeCellsMax, type RouteLabels } from "../../src/metrics/request-metrics.ts";

const web: RouteLabels = {
  namespace: "shop",
  ingress: "web",
  service: "web",
  host: "shop.example",
  path: "/",
  isCanary: false,
};
const webLabels = `namespace="shop",ingress="web",service="web",host="shop.example",path="/",canary="false"`;

function makeMetrics(): Metrics {
  return new Metrics({ version: "1.2.3", isProcessIncluded: false });
}

describe("the counts of several workers", () => {
  test("add up, whatever is counted", () => {
    const worker = new ProxyMetrics();
    // What every worker knows of the whole process is not added up.
    const common = ["endpointsEjected", "upstreamsPanicking"];
    const fields = Object.keys(worker).filter(
      (key) => typeof worker[key as "internalErrors"] === "number" && !common.includes(key),
    );
    // Every number of the class, so that one that is added later is not forgotten.
    for (const [index, key] of fields.entries()) worker[key as "internalErrors"] = index + 1;
    for (const listener of [worker.http, worker.https]) listener.opened();
    worker.refused.add("notFound");
    worker.connectionsRefused.add("total");
    worker.retries.add("upstreamReset", 2);
    worker.ejections.add("statuses", 3);
    worker.endpointsEjected = 4;
    worker.upstreamsPanicking = 5;
    const sum = new ProxyMetrics();
    for (let i = 0; i < 2; i += 1) sum.add(structuredClone(worker.counts()));
    for (const [index, key] of fields.entries())
      expect([key, sum[key as "internalErrors"]]).toEqual([key, 2 * (index + 1)]);
    expect([sum.http, sum.https].map(({ accepted, active }) => [accepted, active])).toEqual([
      [2, 2],
      [2, 2],
    ]);
    expect([sum.refused.get("notFound"), sum.retries.get("upstreamReset")]).toEqual([2, 4]);
    expect(sum.connectionsRefused.get("total")).toBe(2);
    expect([sum.ejections.get("statuses"), sum.endpointsEjected, sum.upstreamsPanicking]).toEqual([6, 4, 5]);
    sum.clear();
    expect(sum.connectionsRefused.get("total")).toBe(0);
    sum.add(closedCounts(worker.counts()));
    expect([sum.http.accepted, sum.http.active, sum.upstreamIdle]).toEqual([1, 0, 0]);
  });

  test("of routes add up by labels, method and status", async () => {
    const [first, second, sum] = [makeMetrics(), makeMetrics(), makeMetrics()];
    first.requests.cellsFor(web).observe(200, "GET", 3, 100, 1000);
    second.requests.cellsFor(web).observe(404, "GET", 3, 1, 10);
    second.requests.cellsFor(web).observe(200, "GET", 30, 100, 1000);
    for (const { requests } of [first, second]) sum.requests.add(structuredClone(requests.counts()));
    const text = await sum.text();
    expect(text).toContain(`fairway_requests_total{${webLabels},method="GET",status="200"} 2\n`);
    expect(text).toContain(`fairway_requests_total{${webLabels},method="GET",status="404"} 1\n`);
    expect(text).toContain(`fairway_request_duration_seconds_count{${webLabels}} 3\n`);
    expect(text).toContain(`fairway_request_received_bytes_total{${webLabels}} 201\n`);
    sum.requests.clear();
    expect(await sum.text()).not.toContain("fairway_requests_total{");
  });
});

describe("requests", () => {
  test("are counted by route, method and status, with durations and bytes", async () => {
    const metrics = makeMetrics();
    const cells = metrics.requests.cellsFor(web);
    cells.observe(200, "GET", 3, 100, 1000);
    cells.observe(200, "GET", 30, 100, 1000);
    cells.observe(503, "POST", 20_000, 50, 10);
    const text = await metrics.text();
    expect(text).toContain(`fairway_requests_total{${webLabels},method="GET",status="200"} 2\n`);
    expect(text).toContain(`fairway_requests_total{${webLabels},method="POST",status="503"} 1\n`);
    expect(text).toContain(`fairway_request_duration_seconds_bucket{${webLabels},le="0.005"} 1\n`);
    expect(text).toContain(`fairway_request_duration_seconds_bucket{${webLabels},le="0.05"} 2\n`);
    expect(text).toContain(`fairway_request_duration_seconds_bucket{${webLabels},le="10"} 2\n`);
    expect(text).toContain(`fairway_request_duration_seconds_bucket{${webLabels},le="+Inf"} 3\n`);
    expect(text).toContain(`fairway_request_duration_seconds_count{${webLabels}} 3\n`);
    expect(text).toContain(`fairway_request_duration_seconds_sum{${webLabels}} 20.033\n`);
    expect(text).toContain(`fairway_request_received_bytes_total{${webLabels}} 250\n`);
    expect(text).toContain(`fairway_response_sent_bytes_total{${webLabels}} 2010\n`);
  });

  test("with an unknown method or an impossible status share a cell", () => {
    const cells = makeMetrics().requests.cellsFor(web);
    for (const method of ["PURGE", "BREW", "get"]) cells.observe(200, method, 1, 0, 0);
    for (const status of [0, 99, 600, -1]) cells.observe(status, "GET", 1, 0, 0);
    expect(cells.counts()).toEqual([
      { method: "OTHER", status: 200, count: 3 },
      { method: "GET", status: 0, count: 4 },
    ]);
  });

  test("keep their counts when more statuses appear than cells were prepared", () => {
    const cells = makeMetrics().requests.cellsFor(web);
    for (let status = 100; status < 600; status += 1) cells.observe(status, "GET", 1, 0, 0);
    for (let status = 599; status >= 100; status -= 1) cells.observe(status, "GET", 1, 0, 0);
    expect(cells.counts()).toHaveLength(500);
    expect(cells.counts().every(({ count }) => count === 2)).toBe(true);
  });

  test("of one route and of its canary have cells of their own, the same for equal labels", () => {
    const { requests } = makeMetrics();
    const canary = { ...web, service: "web-canary", isCanary: true };
    expect(requests.cellsFor({ ...web })).toBe(requests.cellsFor(web));
    expect(requests.cellsFor(canary)).not.toBe(requests.cellsFor(web));
  });

  test("beyond the largest number of routes share one set of cells", async () => {
    const metrics = makeMetrics();
    for (let index = 0; index < routeCellsMax; index += 1) {
      metrics.requests.cellsFor({ ...web, path: `/${index}` });
    }
    const overflow = metrics.requests.cellsFor({ ...web, path: "/one-too-many" });
    expect(metrics.requests.cellsFor({ ...web, path: "/two-too-many" })).toBe(overflow);
    expect(overflow.labels.path).toBe("");
  });
});

describe("cells of a route that is gone", () => {
  test("stay for a while, then leave with the next table", () => {
    const { requests } = makeMetrics();
    const gone = requests.cellsFor(web);
    requests.keepConfigured(() => false, 1000);
    requests.keepConfigured(() => false, 1000 + retiredCellsKeepMs - 1);
    expect(requests.cellsFor(web)).toBe(gone);
    requests.keepConfigured(() => false, 2000);
    requests.keepConfigured(() => false, 2000 + retiredCellsKeepMs);
    expect(requests.cellsFor(web)).not.toBe(gone);
  });

  test("are the same again when the route comes back in time", () => {
    const { requests } = makeMetrics();
    const cells = requests.cellsFor(web);
    requests.keepConfigured(() => false, 0);
    requests.keepConfigured(() => true, 10);
    requests.keepConfigured(() => false, retiredCellsKeepMs + 10);
    expect(requests.cellsFor(web)).toBe(cells);
  });
});

test("connections, refusals, retries and reloads show in the text", async () => {
  const metrics = makeMetrics();
  const { proxy, reloads } = metrics;
  proxy.http.opened();
  proxy.http.opened();
  proxy.http.closed();
  proxy.upstreamIdle += 3;
  proxy.refused.add("headTimeout");
  proxy.refused.add("headTimeout");
  proxy.retries.add("upstreamConnectFailed");
  proxy.ejections.add("breaks");
  reloads.applied(7, 12, 1_700_000_000_000);
  reloads.failed();
  reloads.setDiagnostics({ error: 1, warning: 2, info: 0 });
  reloads.setCertificates([{ namespace: "shop", secret: "tls", notAfterMs: 1_800_000_000_000 }]);
  const lines = (await metrics.text()).split("\n");
  for (const line of [
    `fairway_downstream_connections{listener="http"} 1`,
    `fairway_downstream_connections_accepted_total{listener="http"} 2`,
    `fairway_upstream_connections{state="idle"} 3`,
    `fairway_refused_requests_total{code="headTimeout"} 2`,
    `fairway_upstream_retries_total{code="upstreamConnectFailed"} 1`,
    `fairway_endpoint_ejections_total{reason="breaks"} 1`,
    `fairway_table_generation 7`,
    `fairway_config_reloads_total{result="success"} 1`,
    `fairway_config_reloads_total{result="failure"} 1`,
    `fairway_config_reload_duration_seconds_bucket{le="0.025"} 1`,
    `fairway_config_last_reload_successful 0`,
    `fairway_config_last_reload_success_timestamp_seconds 1700000000`,
    `fairway_diagnostics{severity="warning"} 2`,
    `fairway_certificate_expiry_timestamp_seconds{namespace="shop",secret="tls"} 1800000000`,
    `fairway_build_info{version="1.2.3",node_version="${process.version}"} 1`,
  ]) {
    expect(lines).toContain(line);
  }
});

test("every defined metric is exported, once, and follows the naming conventions", async () => {
  const text = await makeMetrics().text();
  for (const { name, type } of Object.values(metricDefinitions)) {
    expect(text.split(`# TYPE ${name} ${type}\n`)).toHaveLength(2);
    expect(name).toMatch(/^fairway_[a-z_]+$/);
    expect(name.endsWith("_total")).toBe(type === "counter");
  }
});

test("a label value with a quote or a backslash is escaped", async () => {
  const metrics = makeMetrics();
  metrics.requests.cellsFor({ ...web, path: `/a"b\\c` }).observe(200, "GET", 1, 1, 1);
  expect(await metrics.text()).toContain(String.raw`path="/a\"b\\c"`);
});
