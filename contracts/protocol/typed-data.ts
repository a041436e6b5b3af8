import { hashDomain, hashStruct, keccak256, concat, type Address, type Hex } from "viem";
import { SuretyError } from "./errors.ts";
import { structTypes, type Structs } from "./generated/structs.ts";

export interface Domain {
  readonly name: string;
  readonly version: string;
  readonly chainId: number;
  readonly verifyingContract: Address;
}

/** Contracts under whose domains the structs are signed. */
export interface DomainContracts {
  readonly chainId: number;
  readonly identityRegistry: Address;
  readonly dealEscrow: Address;
  /** Only needed for what is signed about tabs. */
  readonly tabEscrow?: Address;
  /** Only needed for what issuers sign. */
  readonly issuerCredentials?: Address;
  /** Only needed for what a proof of membership signs. */
  readonly semaphoreCredentials?: Address;
}

const domainTypes = [
  { name: "name", type: "string" },
  { name: "version", type: "string" },
  { name: "chainId", type: "uint256" },
  { name: "verifyingContract", type: "address" },
];

/** Which domain each struct is signed under; see the notes in contracts/libraries/Types.sol. */
const domainOfStruct = {
  Deal: ["SuretyDealEscrow", "dealEscrow"],
  DealCancel: ["SuretyDealEscrow", "dealEscrow"],
  DealSubmit: ["SuretyDealEscrow", "dealEscrow"],
  DealComplete: ["SuretyDealEscrow", "dealEscrow"],
  DealPartRelease: ["SuretyDealEscrow", "dealEscrow"],
  DealDispute: ["SuretyDealEscrow", "dealEscrow"],
  OfferWithdrawal: ["SuretyDealEscrow", "dealEscrow"],
  SplitProposal: ["SuretyDealEscrow", "dealEscrow"],
  Tab: ["SuretyTabEscrow", "tabEscrow"],
  Voucher: ["SuretyTabEscrow", "tabEscrow"],
  TabClaim: ["SuretyTabEscrow", "tabEscrow"],
  TabClosing: ["SuretyTabEscrow", "tabEscrow"],
  SignerBinding: ["ERC8004IdentityRegistry", "identityRegistry"],
  BindingUpdate: ["ERC8004IdentityRegistry", "identityRegistry"],
  AgentWalletSet: ["ERC8004IdentityRegistry", "identityRegistry"],
  Registration: ["ERC8004IdentityRegistry", "identityRegistry"],
  AgentURISet: ["ERC8004IdentityRegistry", "identityRegistry"],
  AgentMetadataSet: ["ERC8004IdentityRegistry", "identityRegistry"],
  AgentWalletChange: ["ERC8004IdentityRegistry", "identityRegistry"],
  AgentTransfer: ["ERC8004IdentityRegistry", "identityRegistry"],
  AgentApproval: ["ERC8004IdentityRegistry", "identityRegistry"],
  OperatorApproval: ["ERC8004IdentityRegistry", "identityRegistry"],
  SignerGrant: ["ERC8004IdentityRegistry", "identityRegistry"],
  SignerRotation: ["ERC8004IdentityRegistry", "identityRegistry"],
  SignerRevocation: ["ERC8004IdentityRegistry", "identityRegistry"],
  RecoverySetting: ["ERC8004IdentityRegistry", "identityRegistry"],
  RecoveryCancel: ["ERC8004IdentityRegistry", "identityRegistry"],
  OwnerChange: ["ERC8004IdentityRegistry", "identityRegistry"],
  LogAnchor: ["ERC8004IdentityRegistry", "identityRegistry"],
  BatchedBinding: ["ERC8004IdentityRegistry", "identityRegistry"],
  LogHeader: ["SuretyLog", "identityRegistry"],
  BatchHeader: ["SuretyBatch", "identityRegistry"],
  Alive: ["SuretyAlive", "identityRegistry"],
  Call: ["SuretyNegotiation", "dealEscrow"],
  Bid: ["SuretyNegotiation", "dealEscrow"],
  Decline: ["SuretyNegotiation", "dealEscrow"],
  CallCancel: ["SuretyNegotiation", "dealEscrow"],
  IssuerCredential: ["SuretyCredentials", "issuerCredentials"],
  CredentialRevocation: ["SuretyCredentials", "issuerCredentials"],
  OperatorSignal: ["SuretyCredentials", "semaphoreCredentials"],
} as const satisfies Record<keyof Structs, readonly [string, Exclude<keyof DomainContracts, "chainId">]>;

/** @throws SuretyError DOMAIN_UNKNOWN if the address of the struct's contract was not given */
export function domainOf(struct: keyof Structs, contracts: DomainContracts): Domain {
  const [name, contract] = domainOfStruct[struct];
  const verifyingContract = contracts[contract];
  if (verifyingContract !== undefined) return { name, version: "1", chainId: contracts.chainId, verifyingContract };
  throw new SuretyError("DOMAIN_UNKNOWN", `${struct} is signed for the ${contract}, whose address was not given.`, {
    values: { struct, contract },
    next: `Give ${contract} with the other contracts; the deployment file has it.`,
  });
}

/** EIP-712 hashStruct of one of our structs. For a Deal it is the dealId, for a Call the callId, for a Bid the bidId. */
export function structHash<K extends keyof Structs>(struct: K, value: Structs[K]): Hex {
  // viem types `data` per literal type map; ours is keyed by a generic, so the relation is kept by Structs instead.
  return hashStruct({ primaryType: struct as never, types: structTypes as never, data: value as never });
}

/** EIP-712 digest that a signer of one of our structs signs. */
export function typedDataDigest<K extends keyof Structs>(
  struct: K,
  value: Structs[K],
  contracts: DomainContracts,
): Hex {
  return structHashDigest(struct, structHash(struct, value), contracts);
}

/** The same digest from the struct hash alone: a signature can be checked before its content is opened. */
export function structHashDigest(struct: keyof Structs, hash: Hex, contracts: DomainContracts): Hex {
  const domain = domainOf(struct, contracts);
  const separator = hashDomain({
    domain: { ...domain, chainId: BigInt(domain.chainId) } as never,
    types: { EIP712Domain: domainTypes },
  });
  return keccak256(concat(["0x1901", separator, hash]));
}
