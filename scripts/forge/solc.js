#!/usr/bin/env node
// The compiler from npm behind the command line that forge expects of a native one: --version and --standard-json.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(import.meta.url);
const solc = require("solc/wrapper.js")(require("solc/soljson.js"));

if (process.argv.includes("--version")) {
  // forge reads the version from this line only where the platform is a native one's.
  console.log(`solc, the solidity compiler\nVersion: ${solc.version().replace("Emscripten.clang", "Linux.g++")}`);
} else {
  process.stdout.write(solc.compile(await text(process.stdin)));
}
