/**
 * Gas of others, as their authors' contracts used it when the project's design was written (figures.md): quoted, not
 * measured in the run, so that no result derives a ratio from them.
 */
export const QUOTED = "peers quoted from figures.md, not measured in this run";

export const ERC_8004 = "ERC-8004 v2.0.0";
export const ERC_1056 = "ERC-1056 1.3.0";
export const ERC_8183 = "ERC-8183 reference";
export const COMMERCE_PAYMENTS = "commerce-payments";
export const EAS = "EAS 1.9.0";
export const PROTOTYPE = "prototype";
