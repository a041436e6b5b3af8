import { SuretyError } from "#protocol";
import { createChat, type Chat, type ChatApi } from "./chat.ts";

/** The variables that name a model. A key is never an argument: those stand in the list of processes and in the shell's history. */
export const modelVariables = {
  api: "SURETY_MODEL_API",
  url: "SURETY_MODEL_URL",
  model: "SURETY_MODEL",
  key: "SURETY_MODEL_KEY",
} as const;

/** @throws SuretyError USAGE_MODEL with the variable that is missing or wrong */
export function chatFromEnvironment(environment: Readonly<Record<string, string | undefined>>): Chat {
  const read = (name: string) => {
    const value = environment[name];
    if (value === undefined || value === "") throw missing(name, "is not set");
    return value;
  };
  const api = read(modelVariables.api);
  if (api !== "openai" && api !== "anthropic") throw missing(modelVariables.api, "is neither openai nor anthropic");
  return createChat({
    ...{ api: api satisfies ChatApi, url: read(modelVariables.url), model: read(modelVariables.model) },
    apiKey: read(modelVariables.key),
  });
}

function missing(variable: string, fault: string): SuretyError {
  return new SuretyError("USAGE_MODEL", `${variable} ${fault}.`, {
    values: { variable },
    next: `Set ${Object.values(modelVariables).join(", ")}, or leave the model out: solver and search need none.`,
  });
}
