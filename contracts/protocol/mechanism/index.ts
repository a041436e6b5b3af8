export * from "./agency.ts";
export * from "./attribution.ts";
export * from "./bargaining.ts";
export * from "./binary.ts";
export * from "./commitment.ts";
export * from "./document/index.ts";
export * as fractions from "./fraction.ts";
export type { Fraction } from "./fraction.ts";
export {
  chooseAction,
  estimatePayments,
  implementAction,
  solveProgram,
  surplusOf,
  type Dual,
  type Implementation,
  type Program,
  type ProgramOptimum,
} from "./implementation.ts";
export * from "./learning.ts";
export * from "./linear.ts";
export * from "./optimality.ts";
export * from "./procurement.ts";
export * from "./selection.ts";
export * from "./team.ts";
