import { expect } from "chai";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keccak256, toHex, zeroHash, type Hex } from "viem";
import type { SuretyError } from "#protocol";
import { readBindingFile, writeBindingFile } from "../../../node/identity/binding-file.ts";
import { measureBinding } from "../../../node/identity/binding.ts";
import { ownRuntime } from "../../../node/identity/runtime.ts";
import { checkStart, type StartRequest } from "../../../node/identity/start.ts";

const signal = new AbortController().signal;
const config = { model: null, promptTemplate: null, toolPermissions: null, safetyPolicy: null, budgetPolicy: null };
const word = (text: string): Hex => keccak256(toHex(text));

describe("an agent's start", () => {
  let dir: string;
  let onChain: Hex;
  let request: StartRequest;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "surety-start-"));
    mkdirSync(join(dir, "code"));
    writeFileSync(join(dir, "code/app.js"), "export const createApplication = () => ({});");
    writeFileSync(join(dir, "config.json"), JSON.stringify({ ...config, application: { margin: 3 } }));
    const parts = {
      ...{ codeFolder: join(dir, "code"), configFile: join(dir, "config.json"), configSecret: word("secret") },
      ...{ userId: zeroHash, salt: word("salt"), code: { kind: "manifest", digest: zeroHash } as const },
      runtime: await ownRuntime(signal),
    };
    const { code, configDigest, commitment } = await measureBinding(parts, signal);
    writeBindingFile(join(dir, "binding.json"), { ...parts, code, configDigest, commitment });
    onChain = commitment;
  });
  after(() => rmSync(dir, { recursive: true, force: true }));
  beforeEach(() => {
    onChain = readBindingFile(join(dir, "binding.json")).commitment;
    request = {
      ...{ agentId: 7n, bindingFile: join(dir, "binding.json"), isUnbound: false },
      application: { module: join(dir, "code/app.js"), options: { margin: 3 } },
      commitments: { commitmentOf: async () => onChain },
    };
  });

  /** Refused by this name; and with `isUnbound` started, marked, for the same reason. */
  async function expectRefusal(code: string): Promise<void> {
    const refusal = await checkStart(request, signal).then(
      () => undefined,
      (error: unknown) => error as SuretyError,
    );
    expect(refusal?.code).to.equal(code);
    expect(refusal?.next).to.include("--unbound");
    const started = await checkStart({ ...request, isUnbound: true }, signal);
    expect(started.isBound).to.equal(false);
    expect(started.reason).to.match(/\w/);
  }

  it("is refused under another version of what runs the code than the committed one", async () => {
    const path = join(dir, "binding.json");
    const text = readFileSync(path, "utf8");
    const { runtime } = JSON.parse(text) as { runtime: { version: string; interpreter: string } };
    for (const change of [{ version: "0.0.9" }, { interpreter: "v20.0.0" }, { lockfile: null }]) {
      writeFileSync(path, JSON.stringify({ ...JSON.parse(text), runtime: { ...runtime, ...change } }), { mode: 0o600 });
      await expectRefusal("NODE_RUNTIME_CHANGED");
    }
    writeFileSync(path, text, { mode: 0o600 });
  });

  it("is bound when code, config and options are the committed ones", async () => {
    const start = await checkStart(request, signal);
    expect(start).to.include({ isBound: true, reason: undefined, commitment: onChain });
    expect(start.codeCommitment).to.match(/^0x01[0-9a-f]{64}$/);
  });

  it("is refused with a changed file of code", async () => {
    writeFileSync(join(dir, "code/extra.js"), "");
    await expectRefusal("NODE_CODE_CHANGED");
    rmSync(join(dir, "code/extra.js"));
  });

  it("is refused with a changed config", async () => {
    const text = JSON.stringify({ ...config, application: { margin: 3 } });
    writeFileSync(join(dir, "config.json"), text.replace('"budgetPolicy":null', '"budgetPolicy":1'));
    await expectRefusal("NODE_CONFIG_CHANGED");
    writeFileSync(join(dir, "config.json"), text);
  });

  it("is refused with other options than the committed ones", async () => {
    request = { ...request, application: { module: join(dir, "code/app.js"), options: { margin: 4 } } };
    await expectRefusal("NODE_OPTIONS_OTHER");
  });

  it("is refused with an application that the manifest does not hold", async () => {
    request = { ...request, application: { module: join(dir, "elsewhere.js"), options: { margin: 3 } } };
    await expectRefusal("NODE_CODE_ELSEWHERE");
  });

  it("is refused when the chain holds another commitment, or none", async () => {
    onChain = word("another version");
    await expectRefusal("NODE_COMMITMENT_OTHER");
    onChain = zeroHash;
    await expectRefusal("NODE_COMMITMENT_NONE");
  });

  it("is refused without the binding file of an agent that committed", async () => {
    request = { ...request, bindingFile: undefined };
    await expectRefusal("NODE_BINDING_MISSING");
  });

  it("is unbound, and not refused, where the agent never committed to anything", async () => {
    onChain = zeroHash;
    const start = await checkStart({ ...request, bindingFile: undefined }, signal);
    expect(start).to.include({ isBound: false, commitment: zeroHash, codeCommitment: "0x", configDigest: zeroHash });
  });
});
