// Selling and buying over HTTP: where x402 meets the node's settlement and tabs.
import { zeroAddress } from "viem";
import { SuretyError, topicIdOf, type Deployment, type Domain, type DomainContracts, type Signer } from "#protocol";
import type { Application } from "./application.ts";
import type { ChainClient } from "./chain/connect.ts";
import type { Journal } from "./journal.ts";
import type { Settlement } from "./settlement/driver.ts";
import type { Payments } from "./settlement/payments.ts";
import type { Tabs } from "./settlement/tabs/tabs.ts";
import type { ShopConfig, ShopResource } from "./shop-config.ts";
import type { Transport } from "./transport/port.ts";
import { DEAL_SCHEME, MAX_ADDRESSES, TAB_SCHEME, type PaymentRequirements } from "./x402/messages.ts";
import { startShop, type PaidResource, type ShopServer } from "./x402/server.ts";
import { createTill } from "./x402/till.ts";

export interface ShopOptions {
  readonly config: ShopConfig;
  readonly application: Application;
  readonly agentId: bigint;
  readonly signer: Signer;
  readonly deployment: Deployment;
  readonly contracts: DomainContracts;
  readonly client: ChainClient;
  readonly payments: Pick<Payments, "authorizationDomainOf">;
  readonly settlement: Settlement;
  readonly tabs: Tabs;
  readonly transport: Transport;
  readonly terms: ShopTerms;
  readonly chainTime: () => number;
  readonly journal: Journal;
}

/** Who rules on a deal's dispute. */
export interface ShopTerms {
  readonly arbiter: `0x${string}`;
  /** Seconds from submitBy to the arbiter's deadline; 0 without an arbiter. */
  readonly arbiterSeconds: number;
}

/** As TabProvider asks of every tab. */
const MIN_CHALLENGE_SECONDS = 60;
/** Long enough for a claim before it ends. */
const MIN_LIFE_SECONDS = 3_600;

/** @throws SuretyError SHOP_WITHOUT_SERVE, SHOP_TOKEN, SHOP_LISTEN_FAILED */
export async function openShop(options: ShopOptions, signal: AbortSignal): Promise<ShopServer> {
  const { config, application, payments, deployment, journal, ...rest } = options;
  if (application.serve === undefined) {
    throw new SuretyError("SHOP_WITHOUT_SERVE", "A shop is configured, and the application answers no requests.", {
      next: "Give the application a method serve(request, signal), or take the shop out of the configuration.",
    });
  }
  const { token } = deployment.contracts;
  const tokenDomain = await payments.authorizationDomainOf(token, signal);
  const resources = config.resources.map((resource) => resourceOf(resource, options, tokenDomain));
  const till = createTill({ ...rest, deployment, tokenDomain, nowMs: () => Date.now() });
  const { host, port, publicOrigin } = config;
  const onFault = (fault: unknown) => journal.fault("shop", fault);
  return await startShop({ till, resources, publicOrigin, onFault }, { host, port });
}

function resourceOf(resource: ShopResource, options: ShopOptions, tokenDomain: Domain | undefined): PaidResource {
  const { path, description, mimeType, by } = resource;
  const accepts = [
    ...(by.includes("deal") && tokenDomain !== undefined ? [dealOffer(resource, options, tokenDomain)] : []),
    ...(by.includes("tab") ? [tabOffer(resource, options)] : []),
  ];
  if (accepts.length > 0) return { path, description, mimeType, accepts };
  throw new SuretyError("SHOP_TOKEN", "The deployment's token takes no EIP-3009 authorizations.", {
    values: { path },
    next: `Sell ${path} on tabs: "by": ["tab"].`,
  });
}

function commonOf(
  { priceWei, topic }: ShopResource,
  { agentId, signer, deployment, contracts, transport }: ShopOptions,
) {
  const { identityRegistry, token } = deployment.contracts;
  const peer = { id: transport.peerId, addresses: transport.addresses().slice(0, MAX_ADDRESSES) };
  return {
    ...{ network: `eip155:${contracts.chainId}`, amount: priceWei.toString(), asset: token, payTo: signer.address },
    extra: { identityRegistry, providerAgentId: agentId.toString(), topic: topicIdOf(topic).toString(), peer },
  };
}

function dealOffer(resource: ShopResource, options: ShopOptions, { name, version }: Domain): PaymentRequirements {
  const { extra, ...common } = commonOf(resource, options);
  const { terms, deployment, signer } = options;
  const { reviewPeriodS: reviewPeriod, bondWei, deliverWithinS: maxTimeoutSeconds } = resource;
  const arbiterSeconds = terms.arbiter === zeroAddress ? 0 : terms.arbiterSeconds;
  const deal = { reviewPeriod, providerBond: bondWei.toString(), arbiter: terms.arbiter, arbiterSeconds };
  const parties = { escrow: deployment.contracts.dealEscrow, providerSigner: signer.address };
  return { scheme: DEAL_SCHEME, ...common, maxTimeoutSeconds, extra: { ...extra, ...parties, ...deal, name, version } };
}

function tabOffer(resource: ShopResource, options: ShopOptions): PaymentRequirements {
  const { extra, ...common } = commonOf(resource, options);
  const least = { minLifeSeconds: MIN_LIFE_SECONDS, minChallengeSeconds: MIN_CHALLENGE_SECONDS };
  const escrow = options.deployment.contracts.tabEscrow;
  return {
    scheme: TAB_SCHEME,
    ...common,
    maxTimeoutSeconds: MIN_CHALLENGE_SECONDS,
    extra: { ...extra, escrow, ...least },
  };
}
