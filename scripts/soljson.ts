// The compiler that Hardhat runs: solc's JavaScript build from npm, which asks the function table of its WebAssembly at each of its
// indirect calls. That question was a quarter of a build (a profile of 190 sources: 26 % in Table.get), so its answers are
// remembered: 71.5 → 52.8 s of a core.
import { createRequire } from "node:module";

const remembered = Symbol("remembered functions");
type Remembering = WebAssembly.Table & { [remembered]?: unknown[] };

// eslint-disable-next-line @typescript-eslint/unbound-method -- called on the table that is asked
const { get, set } = WebAssembly.Table.prototype;

WebAssembly.Table.prototype.get = function (this: Remembering, index) {
  const functions = (this[remembered] ??= []);
  return (functions[index] ??= get.call(this, index) as unknown);
};

WebAssembly.Table.prototype.set = function (this: Remembering, index, value) {
  set.call(this, index, value);
  this[remembered] = [];
};

export default createRequire(import.meta.url)("solc/soljson.js") as unknown;
