import { concat, encodeAbiParameters, hashDomain, keccak256, stringToHex, type Address, type Hex } from "viem";
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

interface Field {
  readonly name: string;
  readonly type: string;
}

/** What is the same for every value of a struct. */
interface Layout {
  readonly fields: readonly Field[];
  /** The type's hash comes first. */
  readonly parameters: readonly { readonly type: string }[];
  readonly typeHash: Hex;
}

const layouts = new Map<keyof Structs, Layout>();

/** Signed structs hold static fields only (Types.sol), so that a type's text is its own fields, and a value is one run of words. */
function layoutOf(struct: keyof Structs): Layout {
  const known = layouts.get(struct);
  if (known !== undefined) return known;
  const fields: readonly Field[] = structTypes[struct];
  const typeHash = keccak256(stringToHex(`${struct}(${fields.map(({ type, name }) => `${type} ${name}`).join()})`));
  const layout = { fields, parameters: [{ type: "bytes32" }, ...fields], typeHash };
  layouts.set(struct, layout);
  return layout;
}

/** EIP-712 hashStruct of one of our structs. For a Deal it is the dealId, for a Call the callId, for a Bid the bidId. */
export function structHash<K extends keyof Structs>(struct: K, value: Structs[K]): Hex {
  const { fields, parameters, typeHash } = layoutOf(struct);
  // The generated types hold each field to what its name's type takes; the list of them cannot say so.
  const words = fields.map(({ name }) => value[name as keyof Structs[K]]);
  return keccak256(encodeAbiParameters(parameters, [typeHash, ...words]));
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
  return keccak256(concat(["0x1901", separatorOf(domainOf(struct, contracts)), hash]));
}

/** Six contracts of a few chains are more domains than one program signs for. */
const MAX_SEPARATORS = 64;
const separators = new Map<string, Hex>();

/** Remembered: reckoned anew it was half of what a digest costs. */
function separatorOf(domain: Domain): Hex {
  const key = `${domain.name} ${domain.version} ${domain.chainId} ${domain.verifyingContract}`;
  const known = separators.get(key);
  if (known !== undefined) return known;
  const separator = hashDomain({
    domain: { ...domain, chainId: BigInt(domain.chainId) } as never,
    types: { EIP712Domain: domainTypes },
  });
  if (separators.size >= MAX_SEPARATORS) separators.clear();
  separators.set(key, separator);
  return separator;
}
