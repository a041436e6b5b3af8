// `npm run test:agent0`: other people's clients against our contracts and our GraphQL. Unlike `npm test`, which skips what is not
// installed, this fails then.
import { runTool } from "./checks/run-tool.ts";

const { exitCode } = await runTool("mocha", ["test/interop/*.test.ts"], {
  isStreamed: true,
  env: { SURETY_AGENT0: "required" },
});
process.exitCode = exitCode;
