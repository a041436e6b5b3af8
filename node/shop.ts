// Selling and buying over HTTP: where x402 meets the node's settlement and tabs.
import { zeroAddress, zeroHash, type Address } from "viem";
import {
  bondCurveAbi,
  dealEscrowAbi,
  SuretyError,
  topicIdOf,
  type Deployment,
  type Domain,
  type DomainContracts,
  type Signer,
} from "#protocol";
import type { Application } from "./application.ts";
import { withSignal } from "./chain/clock.ts";
import { unreachable, type ChainClient } from "./chain/connect.ts";
import type { ArbiterName } from "./config-fields.ts";
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
  readonly chainTime: () => number;
  readonly journal: Journal;
}

/** The arbiter's address on this deployment. */
export const arbiterAddressOf = (arbiter: ArbiterName, { contracts }: Deployment): Address =>
  arbiter === "panel" ? contracts.jurorPanel : arbiter;

/** As TabProvider asks of every tab. */
const MIN_CHALLENGE_SECONDS = 60;
/** Long enough for a claim before it ends. */
const MIN_LIFE_SECONDS = 3_600;

/** @throws SuretyError SHOP_WITHOUT_SERVE, SHOP_TOKEN, SHOP_BOND, SHOP_LISTEN_FAILED, CHAIN_UNREACHABLE */
export async function openShop(options: ShopOptions, signal: AbortSignal): Promise<ShopServer> {
  const { config, application, payments, deployment, journal, ...rest } = options;
  if (application.serve === undefined) {
    throw new SuretyError("SHOP_WITHOUT_SERVE", "A shop is configured, and the application answers no requests.", {
      next: "Give the application a method serve(request, signal), or take the shop out of the configuration.",
    });
  }
  const { token } = deployment.contracts;
  const tokenDomain = await payments.authorizationDomainOf(token, signal);
  const floors = await bondFloorsOf(options, signal);
  const resources = config.resources.map((resource, k) => {
    return resourceOf({ ...resource, bondWei: bondOf(resource, floors[k] ?? 0n) }, options, tokenDomain);
  });
  const till = createTill({ ...rest, deployment, tokenDomain, nowMs: () => Date.now() });
  const { host, port, publicOrigin } = config;
  const onFault = (fault: unknown) => journal.fault("shop", fault);
  return await startShop({ till, resources, publicOrigin, onFault }, { host, port });
}

/** What is sold, with the bond that goes with it. */
type PricedResource = ShopResource & { readonly bondWei: bigint };

function bondOf({ bondWei, path }: ShopResource, floorWei: bigint): bigint {
  if (bondWei === undefined || bondWei >= floorWei) return bondWei ?? floorWei;
  throw new SuretyError("SHOP_BOND", `The bond of ${path} is below what the escrow asks for in its topic.`, {
    values: { path, bondWei, floorWei },
    next: `Put up ${floorWei} or more, or leave bondWei out.`,
  });
}

/**
 * The least bond of each resource sold by a deal. Over HTTP no proof of a score goes with the opening (the client pays by an
 * authorization to the escrow itself), so that the curve asks for what it asks of an agent without a score.
 */
async function bondFloorsOf(
  { config, client, deployment, agentId }: ShopOptions,
  signal: AbortSignal,
): Promise<bigint[]> {
  const { dealEscrow, token } = deployment.contracts;
  const floors = async () => {
    const address = await client.readContract({ address: dealEscrow, abi: dealEscrowAbi, functionName: "bondCurve" });
    if (address === zeroAddress) return [];
    const blank = {
      ...{ clientAgentId: 0n, providerAgentId: agentId, token, providerBond: 0n, clientBond: 0n, submitBy: 0 },
      ...{
        reviewPeriod: 0,
        arbiter: zeroAddress,
        arbiterDeadline: 0,
        mechanismHash: zeroHash,
        certificateHash: zeroHash,
      },
      ...{ specHash: zeroHash, splitsRoot: zeroHash, epoch: 0, hook: zeroAddress, salt: 0n },
    };
    const query = { address, abi: bondCurveAbi, functionName: "requiredProviderBond" } as const;
    return await Promise.all(
      config.resources.map(async ({ topic, priceWei, by }) => {
        if (!by.includes("deal")) return 0n;
        return await client.readContract({
          ...query,
          args: [{ ...blank, topic: topicIdOf(topic), price: priceWei }, "0x"],
        });
      }),
    );
  };
  return await withSignal(floors(), signal).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw unreachable(cause);
  });
}

function resourceOf(resource: PricedResource, options: ShopOptions, tokenDomain: Domain | undefined): PaidResource {
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

function dealOffer(resource: PricedResource, options: ShopOptions, { name, version }: Domain): PaymentRequirements {
  const { extra, ...common } = commonOf(resource, options);
  const { config, deployment, signer } = options;
  const { reviewPeriodS: reviewPeriod, bondWei, deliverWithinS: maxTimeoutSeconds } = resource;
  const arbiter = config.arbiter === undefined ? zeroAddress : arbiterAddressOf(config.arbiter, deployment);
  // The ruling is due so long after the last second in which a dispute can begin.
  const arbiterSeconds = arbiter === zeroAddress ? 0 : reviewPeriod + config.rulingWithinS;
  const deal = { reviewPeriod, providerBond: bondWei.toString(), arbiter, arbiterSeconds };
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
