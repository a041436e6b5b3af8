import { expect } from "chai";
import { network } from "hardhat";
import { custom } from "viem";
import { SuretyError, topicIdOf } from "#protocol";
import { createChainClient } from "../../../node/chain/connect.ts";
import { graphOfTopic, readLedger } from "../../../scripts/cli/ledger.ts";
import { testDeployment } from "../../fixtures/deployment.ts";
import { deployWorld, EPOCH_LENGTH, registerAgents, stake } from "../../reputation-contracts/world.ts";

describe("ledger as a command reads it", () => {
  it("has weights, stakes and the transaction of each record, up to the close of the epoch that was asked for", async () => {
    const chain = await network.create();
    const world = await deployWorld(chain);
    await registerAgents(world, world.accounts.owner, 3);
    const topic = topicIdOf("data_analysis");
    const record = (client: number, provider: number, satisfied: number, unsatisfied: number) =>
      world.ledger.write.record([topic, client, provider, satisfied, unsatisfied], {
        account: world.accounts.recorder,
      });
    await stake(world, 1, 500n);
    const first = await record(1, 2, 40, 0);
    const second = await record(1, 2, 0, 30);
    await chain.networkHelpers.time.increase(EPOCH_LENGTH);
    const third = await record(3, 2, 5, 0);
    const deployment = testDeployment({
      ...{ identityRegistry: world.registry.address, stakeVault: world.vault.address },
      ...{ trustLedger: world.ledger.address, reputationEpochs: world.epochs.address, token: world.token.address },
      dealEscrow: world.accounts.recorder,
    });
    const client = createChainClient(custom(chain.provider, { retryCount: 0 }), 31_337);
    const { signal } = new AbortController();
    const running = await readLedger(client, deployment, undefined, signal);
    const closed = await readLedger(client, deployment, running.epoch - 1, signal);
    const hashes = ({ deals }: typeof running) => deals.map(({ transactionHash }) => transactionHash);
    expect(hashes(running)).to.deep.equal([first, second, third]);
    expect(hashes(closed)).to.deep.equal([first, second]);
    expect(closed.deals.map(({ weight }) => weight)).to.deep.equal([40, 10]);
    const graph = graphOfTopic(closed, topic, "data_analysis");
    expect([...graph.inWeights]).to.deep.equal([10]);
    expect([...graph.agentIds].slice(0, 3)).to.deep.equal([0, 1, 2]);
    expect(graph.priors[1]).to.equal(500);
    expect(graphOfTopic(running, topic, "data_analysis").inWeights).to.have.length(2);
    expect(() => graphOfTopic(running, topicIdOf("cooking"), "cooking")).to.throw(SuretyError, "cooking");
  });
});
