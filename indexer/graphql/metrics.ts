import type { IndexerStatus } from "../status.ts";

/** The status in Prometheus' text format. */
export function renderMetrics(status: IndexerStatus, requestCount: number): string {
  const { counts } = status;
  const rows: [name: string, type: "gauge" | "counter", help: string, value: number][] = [
    ["ready", "gauge", "1 = at the head, sure of it, and serving", Number(status.isReady)],
    ["serving", "gauge", "1 = queries are answered", Number(status.isServing)],
    ["block", "gauge", "Last block whose events are in the rows", status.checkpoint?.number ?? 0],
    ["head_block", "gauge", "Last block that the endpoint told of", status.head?.number ?? 0],
    ["finalized_block", "gauge", "Last block that the chain calls final", status.finalized],
    ["progress", "gauge", "Share of the way from the deployment to the head", status.progress],
    ["reorgs_total", "counter", "Branches that were undone", counts.reorgs],
    ["undone_blocks_total", "counter", "Blocks that were undone", counts.undoneBlocks],
    ["rebuilds_total", "counter", "Times that everything was read again", counts.rebuilds],
    ["refused_answers_total", "counter", "Answers that contradicted themselves", counts.refusals],
    ["failed_requests_total", "counter", "Requests that the endpoint failed", counts.failures],
    ["http_requests_total", "counter", "Requests to this server", requestCount],
  ];
  return rows
    .map(([name, type, help, value]) => {
      const metric = `surety_indexer_${name}`;
      return `# HELP ${metric} ${help}\n# TYPE ${metric} ${type}\n${metric} ${value}\n`;
    })
    .join("");
}
