import { encodeAbiParameters, keccak256, type Address, type Hex } from "viem";

/** A call of one of the vault's modules that pays who reserved it; see `IStakeVault.report`. */
export interface Report {
  /** Who reserves and reports, and is paid. */
  readonly reporter: Address;
  readonly module: Address;
  /** Calldata of the module's function. */
  readonly call: Hex;
  /** 32 bytes that nobody can guess: they keep the reserved call secret until it is shown. */
  readonly salt: Hex;
}

const REPORT_PARAMETERS = [{ type: "address" }, { type: "address" }, { type: "bytes32" }, { type: "bytes32" }] as const;

/** What `IStakeVault.reserve` takes; the report itself follows in a later block. */
export function reportCommitmentOf({ reporter, module, call, salt }: Report): Hex {
  return keccak256(encodeAbiParameters(REPORT_PARAMETERS, [reporter, module, keccak256(call), salt]));
}
