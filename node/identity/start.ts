import { zeroHash, type Hex } from "viem";
import { canonicalJson, encodeCodeCommitment, SuretyError } from "#protocol";
import { readBindingFile, type BindingFile } from "./binding-file.ts";
import {
  bindingError,
  isCommittedModule,
  judgeBinding,
  measureBinding,
  type BindingFault,
  type MeasuredBinding,
} from "./binding.ts";

/** The agent's current commitment, as the chain holds it; zero = none. */
export interface CommitmentPort {
  commitmentOf(agentId: bigint, signal: AbortSignal): Promise<Hex>;
}

/** What is about to run, and what it is to be compared with. */
export interface StartRequest {
  readonly agentId: bigint;
  /** Path of the binding file; undefined = none was named. */
  readonly bindingFile: string | undefined;
  /** Start all the same, marked, when code or config are not the committed ones. */
  readonly isUnbound: boolean;
  readonly application: { readonly module: string; readonly options: unknown } | undefined;
  readonly commitments: CommitmentPort;
}

/** What one run of an agent says of itself in its log. */
export interface StartBinding {
  /** Code and config were measured, and the chain's commitment is theirs. */
  readonly isBound: boolean;
  /** Why it is not bound. */
  readonly reason: string | undefined;
  /** The chain's commitment; zero = none. */
  readonly commitment: Hex;
  /** Of what runs, with its type; 0x = not measured. */
  readonly codeCommitment: Hex;
  readonly configDigest: Hex;
}

/**
 * Compares code and config with the chain, before any of the agent's code is loaded.
 * @throws SuretyError NODE_BINDING_MISSING, NODE_CODE_CHANGED, NODE_CONFIG_CHANGED, NODE_COMMITMENT_OTHER,
 * NODE_COMMITMENT_NONE, NODE_CODE_ELSEWHERE, NODE_OPTIONS_OTHER, unless `isUnbound`
 */
export async function checkStart(request: StartRequest, signal: AbortSignal): Promise<StartBinding> {
  const { agentId, bindingFile, commitments } = request;
  const commitment = await commitments.commitmentOf(agentId, signal);
  if (bindingFile === undefined) return startWithout(request, commitment);
  try {
    const file = readBindingFile(bindingFile);
    const measured = await measureBinding(file, signal);
    const fault = judgeBinding(file, measured, commitment) ?? judgeApplication(file, measured, request);
    if (fault !== undefined && !request.isUnbound) throw bindingError(fault, agentId);
    const { configDigest } = measured;
    return {
      isBound: fault === undefined,
      reason: fault?.detail,
      commitment,
      codeCommitment: encodeCodeCommitment(measured.code),
      configDigest,
    };
  } catch (error) {
    signal.throwIfAborted();
    if (!request.isUnbound || !(error instanceof SuretyError)) throw error;
    return { isBound: false, reason: error.message, commitment, codeCommitment: "0x", configDigest: zeroHash };
  }
}

/** An agent that never committed claims nothing: it runs, and every entry says that it is unbound. */
function startWithout({ agentId, isUnbound }: StartRequest, commitment: Hex): StartBinding {
  if (commitment !== zeroHash && !isUnbound) {
    throw new SuretyError(
      "NODE_BINDING_MISSING",
      `Agent ${agentId} has committed to its code and config, and nothing here opens that.`,
      {
        values: { agentId, commitment },
        next: "Name the file that `surety baid commit` wrote, with --binding or `binding` in the configuration. To run all the same, marked as unbound in every entry, pass --unbound.",
      },
    );
  }
  const reason = commitment === zeroHash ? "the agent has no commitment" : "no binding file was named";
  return { isBound: false, reason, commitment, codeCommitment: "0x", configDigest: zeroHash };
}

/** Whether what will be loaded is what was measured. */
function judgeApplication(
  file: BindingFile,
  measured: MeasuredBinding,
  { application }: StartRequest,
): BindingFault | undefined {
  const { codeFolder } = file;
  if (application === undefined) return undefined;
  if (codeFolder !== undefined && !isCommittedModule(measured, codeFolder, application.module)) {
    const detail = `${application.module} is not in the manifest of ${codeFolder}`;
    return { code: "CODE_ELSEWHERE", detail, next: "Commit to the folder that holds the application." };
  }
  const committed = measured.config["application"];
  if (committed === undefined) return undefined;
  const [given, expected] = [canonicalJson(application.options ?? null), canonicalJson(committed)];
  if (given === expected) return undefined;
  const detail = `the application is given ${given}, committed was ${expected}`;
  return { code: "OPTIONS_OTHER", detail, next: "Start it with the committed options." };
}
