import { reporters, Runner } from "mocha";
import { writeCounts } from "./counts.ts";

/** The usual spec output for people, and the counts in a file for scripts/test.ts. */
export default class CountingReporter extends reporters.Spec {
  constructor(runner: Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats;
      writeCounts({ passed: passes, failed: failures, skipped: pending });
    });
  }
}
