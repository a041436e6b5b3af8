import { AgentCard, canonicalizeAgentCard } from "@a2a-js/sdk";
import { ServerCallContext, type A2ARequestHandler } from "@a2a-js/sdk/server";
import { LegacyRestTransportHandler } from "@a2a-js/sdk/compat/v0_3/server";
import canonicalize from "canonicalize";
import { CARD_EXTENSION } from "#protocol";
import { agentRegistryOf, descriptionOf, VERSION, type AgentSelf } from "../self.ts";
import type { CardKeys, Jws } from "./keys.ts";

const JWKS_PATH = "/.well-known/jwks.json";

/** The agent's card, signed by both keys. */
export function createCard(self: AgentSelf, keys: CardKeys): AgentCard {
  const url = `${self.origin()}/a2a`;
  const hire = { tags: ["hire", "procurement", "escrow", "reputation"], securityRequirements: [] };
  const card: AgentCard = {
    name: self.name,
    description: descriptionOf(self),
    supportedInterfaces: ["1.0", "0.3"].map((protocolVersion) => ({
      ...{ url, protocolBinding: "JSONRPC", tenant: "", protocolVersion },
    })),
    provider: undefined,
    version: VERSION,
    capabilities: {
      streaming: true,
      pushNotifications: false,
      extendedAgentCard: false,
      extensions: [extensionOf(self, keys)],
    },
    securitySchemes: {
      bearer: {
        scheme: {
          $case: "httpAuthSecurityScheme",
          value: { scheme: "bearer", bearerFormat: "", description: "A token that the agent's owner gave the client." },
        },
      },
    },
    securityRequirements: [{ schemes: { bearer: { list: [] } } }],
    defaultInputModes: ["text/plain", "application/json"],
    defaultOutputModes: ["application/json", "text/plain"],
    skills: [
      {
        ...hire,
        id: "hire",
        name: "Have work done",
        description:
          "Calls for bids on a task, awards it by a sealed second price, settles it in escrow, and returns delivery and receipt. " +
          "Input: a text, or an object { topic, input, title?, maxPriceWei?, review? }.",
        examples: [
          "Describe the series 12, 7, 3, 44",
          '{ "topic": "data_analysis", "input": [12, 7, 3], "maxPriceWei": "5000000" }',
        ],
        inputModes: ["text/plain", "application/json"],
        outputModes: ["application/json"],
      },
    ],
    signatures: [],
  };
  // As the card is sent (A2A §8.4.1); and, by the card key alone, as @a2a-js/sdk 1.3.0 reads it back from its own parsed
  // form, in which it loses the security schemes.
  const [es256, es256k] = signaturesOf(canonicalizeAgentCard(AgentCard.toJSON(card) as AgentCard), self, keys);
  const [asParsed] = signaturesOf(canonicalizeAgentCard(card), self, keys);
  return { ...card, signatures: [es256, es256k, asParsed].filter((jws) => jws !== undefined) };
}

/** The same card as 0.3 has it, by the official translation, and signed in that form. */
export async function createLegacyCard(card: AgentCard, self: AgentSelf, keys: CardKeys): Promise<object> {
  // The package translates cards inside this handler only.
  const source = { getAuthenticatedExtendedAgentCard: () => Promise.resolve({ ...card, signatures: [] }) };
  const translator = new LegacyRestTransportHandler(source as unknown as A2ARequestHandler);
  const legacy = await translator.getAuthenticatedExtendedAgentCard(new ServerCallContext({ requestedVersion: "0.3" }));
  // A client of 1.0 that names no version finds its interface here.
  const whole = { ...legacy, supportedInterfaces: card.supportedInterfaces };
  return { ...whole, signatures: signaturesOf(canonicalize(whole) ?? "", self, keys) };
}

function signaturesOf(payload: string, self: AgentSelf, keys: CardKeys): (Jws & { header: undefined })[] {
  return keys.sign(payload, self.origin() + JWKS_PATH).map((jws) => ({ ...jws, header: undefined }));
}

function extensionOf(self: AgentSelf, keys: CardKeys) {
  return {
    uri: CARD_EXTENSION,
    description: "The agent on chain, the key that speaks for it, and its offers.",
    required: false,
    params: {
      ...{ agentId: self.agentId.toString(), agentRegistry: agentRegistryOf(self), logSigner: self.address },
      ...{ cardKeyThumbprint: keys.thumbprint, peerId: self.peerId, addresses: [...self.addresses] },
      token: self.token,
      offers: self.capabilities.map(({ topic, name, priceWei }) => ({ topic, name, priceWei: priceWei.toString() })),
    },
  };
}
