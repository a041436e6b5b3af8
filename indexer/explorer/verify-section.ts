// "Verify": the visitor's browser asks the visitor's endpoint, and every step is shown.
import type { SiteConfig } from "./api.ts";
import { fill, h } from "./dom.ts";
import { isOwnRpc, keepRpcUrl, rpcUrlOf } from "./settings.ts";
import type { Step } from "./verify/claims.ts";

type Verifier = typeof import("./verify/main.ts");
type Chain = ReturnType<Verifier["openChain"]>;
type Steps = (verifier: Verifier, chain: Chain) => AsyncIterable<Step>;

/** The auditor is a script of its own, ten times the size of the pages. */
const VERIFIER_PATH: string = "/assets/verify.js";

let sectionCount = 0;

/** @param subject what is checked, in words: `agent 3` */
export function verifySection(config: SiteConfig, subject: string, steps: Steps): HTMLElement {
  const id = `rpc-${++sectionCount}`;
  const url = rpcUrlOf(config);
  const input = h("input", {
    id,
    type: "url",
    required: true,
    value: url,
    placeholder: "https://…",
    autocomplete: "off",
  });
  const button = h("button", {}, `Verify ${subject}`);
  const outcome = h("p", { class: "outcome", role: "status" });
  const list = h("ol", { class: "steps", tabindex: 0, "aria-label": `Checks of ${subject}` });
  const form = h(
    "form",
    { class: "verify" },
    h("label", { for: id }, "Chain endpoint (RPC) that you believe"),
    input,
    button,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    keepRpcUrl(input.value);
    button.disabled = true;
    void run(config, { subject, steps, outcome, list }).finally(() => (button.disabled = false));
  });
  const title = h("h3", {}, `Do not believe this server: verify ${subject}`);
  return h(
    "section",
    { class: "verification", "aria-label": `Verification of ${subject}` },
    title,
    form,
    outcome,
    list,
  );
}

interface Run {
  readonly subject: string;
  readonly steps: Steps;
  readonly outcome: HTMLElement;
  readonly list: HTMLElement;
}

async function run(config: SiteConfig, { subject, steps, outcome, list }: Run): Promise<void> {
  fill(list);
  show(outcome, "busy", "Asking the chain…");
  try {
    const verifier = (await import(VERIFIER_PATH)) as Verifier;
    let count = 0;
    for await (const step of steps(verifier, verifier.openChain(rpcUrlOf(config), config.deployment))) {
      count++;
      list.append(stepItem(step));
      if (step.isOk) continue;
      show(outcome, "false", verdictOf(step));
      return;
    }
    const whose = isOwnRpc(config)
      ? "your endpoint"
      : "the endpoint that this server suggests: choose one of your own to be sure";
    show(outcome, "true", `Verified: all ${count} checks of ${subject} hold, by ${whose}.`);
  } catch (error) {
    const words = error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
    show(
      outcome,
      "unknown",
      `Not verified: ${words} Is the endpoint right, and does it allow this page to ask (CORS)?`,
    );
  }
}

function verdictOf({ about, name, detail }: Step): string {
  if (about === "server") return `This server said what the chain does not: ${name}: ${detail}.`;
  return `The chain itself does not bear it out: ${name}: ${detail}.`;
}

function stepItem({ name, isOk, detail, about }: Step): HTMLElement {
  const mark = h("span", { class: "mark" }, isOk ? "holds" : "FAILS");
  const whose = about === "server" ? "this server's word" : "the chain's record";
  return h(
    "li",
    { class: isOk ? "holds" : "fails" },
    ...[
      mark,
      " ",
      h("strong", {}, name),
      " ",
      h("span", { class: "whose" }, whose),
      h("div", { class: "detail" }, detail),
    ],
  );
}

function show(outcome: HTMLElement, state: "busy" | "true" | "false" | "unknown", text: string): void {
  outcome.dataset["verified"] = state;
  fill(outcome, text);
}
