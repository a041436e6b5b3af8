import type { Hex } from "viem";

// What passes between the command line and the prover's process: one JSON object a line, numbers of 64 bits and more as decimals.

/** o1js's own form of a proof; the root project knows it without o1js. */
export interface ProofJson {
  readonly publicInput: string[];
  readonly publicOutput: string[];
  readonly maxProofsVerified: 0 | 1 | 2;
  readonly proof: string;
}

/** A range of a log, ready to be proven: the file of `surety proof entries`. */
export interface LogFile {
  readonly chainId: number;
  readonly registry: Hex;
  /** The log's address. */
  readonly log: Hex;
  readonly agentId: string;
  /** Head before the first entry, as anchored. */
  readonly headFrom: Hex;
  readonly entries: readonly { readonly seq: number; readonly digest: Hex; readonly spend: string }[];
}

export interface StatementFile {
  readonly headFrom: Hex;
  readonly fromSeq: number;
  readonly headTo: Hex;
  readonly nextSeq: number;
  readonly limit: string;
  readonly budgetCommitment: Hex;
}

/** The file of `surety proof make`. */
export interface ProofFile {
  readonly program: string;
  readonly programHash: string;
  readonly log: Pick<LogFile, "chainId" | "registry" | "log" | "agentId">;
  readonly statement: StatementFile;
  readonly spentCommitment: Hex;
  readonly proof: ProofJson;
}

export type Request = { readonly id: number; readonly cacheDir: string } & (
  | {
      readonly action: "make";
      readonly file: LogFile;
      readonly limit: string;
      readonly budget: string;
      readonly budgetSalt: string;
    }
  | {
      readonly action: "check";
      readonly file: ProofFile;
      readonly statement: StatementFile;
      readonly programHash?: string;
    }
  | { readonly action: "heads"; readonly file: LogFile }
  | { readonly action: "commit"; readonly budget: string; readonly budgetSalt: string }
);

export type Answer =
  | { readonly id: number; readonly progress: string }
  | { readonly id: number; readonly result: unknown }
  | {
      readonly id: number;
      readonly error: {
        readonly code: string;
        readonly message: string;
        readonly values: Record<string, unknown>;
        readonly next: string;
      };
    };
