import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import type { IndexerStatus } from "../status.ts";
import type { EndpointReport } from "../sync/endpoints.ts";
import type { WebhookStatus } from "../webhooks/lane.ts";

interface Sources {
  readonly status: () => IndexerStatus;
  readonly endpoints: EndpointReport;
  readonly webhooks?: () => readonly WebhookStatus[];
}

/** What Prometheus scrapes of an indexer and its process. Values are read when they are scraped, so that nothing is kept twice. */
export function createMetrics(
  { status, endpoints, webhooks = () => [] }: Sources,
  requestCount: () => number,
): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const named = (name: string, help: string) => ({ name: `surety_indexer_${name}`, help, registers: [registry] });
  const gauge = (name: string, help: string, read: (status: IndexerStatus) => number) =>
    new Gauge({
      ...named(name, help),
      collect() {
        this.set(read(status()));
      },
    });
  const counter = (name: string, help: string, read: (status: IndexerStatus) => number) =>
    new Counter({
      ...named(`${name}_total`, help),
      collect() {
        this.reset();
        this.inc(read(status()));
      },
    });
  gauge("ready", "1 = at the head, sure of it, and serving", ({ isReady }) => Number(isReady));
  gauge("serving", "1 = queries are answered", ({ isServing }) => Number(isServing));
  gauge("block", "Last block whose events are in the rows", ({ checkpoint }) => checkpoint?.number ?? 0);
  gauge("head_block", "Last block that the endpoint told of", ({ head }) => head?.number ?? 0);
  gauge("head_age_seconds", "Since that head was read", ({ headAgeMs }) => (headAgeMs ?? 0) / 1_000);
  gauge("finalized_block", "Last block that the chain calls final", ({ finalized }) => finalized);
  gauge("progress", "Share of the way from the deployment to the head", ({ progress }) => progress);
  counter("reorgs", "Branches that were undone", ({ counts }) => counts.reorgs);
  counter("undone_blocks", "Blocks that were undone", ({ counts }) => counts.undoneBlocks);
  counter("rebuilds", "Times that everything was read again", ({ counts }) => counts.rebuilds);
  counter("refused_answers", "Answers that contradicted themselves", ({ counts }) => counts.refusals);
  counter("failed_requests", "Requests that the endpoint failed", ({ counts }) => counts.failures);
  counter(
    "unwitnessed_answers",
    "Answers about logs that no second endpoint could speak of",
    () => endpoints.unwitnessed,
  );
  const ofEndpoint = (name: "failures" | "contradictions", help: string) =>
    new Counter({
      ...named(`endpoint_${name}_total`, help),
      labelNames: ["endpoint"],
      collect() {
        this.reset();
        for (const endpoint of endpoints.status()) this.inc({ endpoint: endpoint.name }, endpoint[name]);
      },
    });
  ofEndpoint("failures", "Requests that an endpoint failed");
  ofEndpoint("contradictions", "Answers in which most others contradicted an endpoint");
  const ofWebhook = (name: string, help: string, read: (webhook: WebhookStatus) => number) =>
    new Gauge({
      ...named(`webhook_${name}`, help),
      labelNames: ["webhook"],
      collect() {
        for (const webhook of webhooks()) this.set({ webhook: webhook.name }, read(webhook));
      },
    });
  ofWebhook("block", "Block of the last event that a subscription has gone through", ({ block }) => block ?? 0);
  ofWebhook("failures", "Messages in a row that its receiver did not take", ({ failures }) => failures);
  counter("http_requests", "Requests to this server", requestCount);
  return registry;
}
