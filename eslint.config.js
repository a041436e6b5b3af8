import { existsSync } from "node:fs";
import eslint from "@eslint/js";
import globals from "globals";
import tseslint from "typescript-eslint";

const typescript = ["**/*.ts"];
const generated = ["contracts/protocol/generated/**"];
// What the provers import is there after `npm run zk:setup` only, and rules that read types need it.
const uninstalled = existsSync(new URL("zk/node_modules", import.meta.url)) ? [] : ["zk/"];

export default tseslint.config(
  {
    ignores: [
      "node_modules/",
      "artifacts/",
      "cache/",
      "coverage/",
      "dist/",
      "types/",
      ".surety/",
      ...generated,
      ...uninstalled,
    ],
  },
  eslint.configs.recommended,
  { files: ["**/*.js"], languageOptions: { globals: globals.node } },
  {
    files: typescript,
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/consistent-type-imports": [
        "error",
        { fixStyle: "inline-type-imports", disallowTypeAnnotations: false },
      ],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      // Numbers, bigints and booleans read well in a template; objects do not.
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true, allowNullish: true },
      ],
      "@typescript-eslint/restrict-plus-operands": ["error", { allowNumberAndString: true }],
      // `() => list.push(x)` as a callback is clear enough.
      "@typescript-eslint/no-confusing-void-expression": "off",
      // A guard that the types call superfluous still guards against what a stranger sends.
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
      // An interface's method may be async because its other implementation awaits.
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/unbound-method": ["error", { ignoreStatic: true }],
      // Hex strings are ASCII.
      "@typescript-eslint/no-misused-spread": "off",
      // These cost half of the run and have never found anything here.
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      "@typescript-eslint/no-generated-empty-object-type": "off",
      "@typescript-eslint/no-unsafe-enum-assignment": "off",
      // tsc reports these, with the same exceptions.
      "@typescript-eslint/no-unused-vars": "off",
      "max-lines": ["error", { max: 500, skipComments: true, skipBlankLines: true }],
      eqeqeq: "error",
      "no-console": "error",
    },
  },
  // Programs talk to people.
  { files: ["scripts/**", "zk/**", "bench/**", "node/main.ts", "indexer/main.ts"], rules: { "no-console": "off" } },
  {
    // The pure mirror has no clock and no randomness, so that the same bytes come out everywhere and for ever.
    files: ["contracts/protocol/**/*.ts"],
    rules: {
      "no-restricted-globals": [
        "error",
        ...["performance", "setTimeout", "setInterval", "setImmediate", "fetch", "process", "crypto", "Buffer"].map(
          (name) => ({
            name,
            message: "#protocol is pure: no clock, no randomness, no I/O.",
          }),
        ),
      ],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: "#protocol has no clock: take the time as an argument." },
        { object: "Math", property: "random", message: "#protocol has no randomness: take it as an argument." },
      ],
    },
  },
  {
    // Nodes and messages are indices into arrays that were made with a place for each; a check per access would be half of a simulation.
    files: ["bench/gossip/**/*.ts", "bench/discovery/**/*.ts"],
    rules: { "@typescript-eslint/no-non-null-assertion": "off" },
  },
  {
    files: ["test/**/*.ts"],
    rules: {
      // chai's assertions are expressions, and a test may build what the types forbid.
      "@typescript-eslint/no-unused-expressions": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unnecessary-type-assertion": "off",
      "@typescript-eslint/unbound-method": "off",
      "@typescript-eslint/await-thenable": "off",
      "@typescript-eslint/use-unknown-in-catch-callback-variable": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      "max-lines": ["error", { max: 800, skipComments: true, skipBlankLines: true }],
      "no-console": "off",
    },
  },
);
