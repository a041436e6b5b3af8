import { h, type Child } from "../dom.ts";
import type { Page } from "../page.ts";
import { facts, section } from "../parts.ts";
import { changedContracts, keepRpcUrl, keepTheme, pinContracts, rpcUrlOf, themeOf, type Theme } from "../settings.ts";

const themes: readonly (readonly [Theme, string])[] = [
  ["system", "as the system"],
  ["light", "light"],
  ["dark", "dark"],
];

export const settingsPage: Page = ({ site }) => {
  const { config } = site;
  const { deployment } = config;
  const changed = changedContracts(config);
  const themeChoice = h(
    "select",
    { id: "theme", onchange: (event) => keepTheme((event.target as HTMLSelectElement).value as Theme) },
    themes.map(([value, name]) => h("option", { value, selected: value === themeOf() }, name)),
  );
  const rpc = h("input", {
    id: "rpc",
    type: "url",
    value: rpcUrlOf(config),
    placeholder: "https://…",
    autocomplete: "off",
  });
  rpc.addEventListener("change", () => keepRpcUrl(rpc.value));
  const body: Child[] = [
    h("p", { class: "lead" }, "All of this stays in your browser."),
    section("Appearance", h("label", { for: "theme" }, "Colours "), themeChoice),
    section(
      "Chain endpoint",
      h("p", {}, "What Verify asks. Take one that you run or believe; it has to allow web pages to ask (CORS)."),
      h("label", { for: "rpc" }, "URL "),
      rpc,
    ),
    section(
      "Contracts",
      h(
        "p",
        {},
        "Verify asks these. Compare them with what your marketplace or the deployment's own page names: whoever gives you false addresses can prove anything.",
      ),
      changed.length > 0 &&
        h(
          "p",
          { class: "alarm", role: "alert" },
          `They are not the ones that this browser saw here first: ${changed.join(", ")}. `,
          h(
            "button",
            { type: "button", onclick: () => (pinContracts(config), location.reload()) },
            "I know why; keep these",
          ),
        ),
      facts([
        ["Chain", deployment.chainId],
        ["Deployed at block", deployment.deployedAtBlock],
        ...Object.entries(deployment.contracts).map(
          ([name, address]) => [name, h("code", { class: "wrap" }, address)] as const,
        ),
      ]),
    ),
  ];
  return Promise.resolve({ title: "Settings", body });
};
