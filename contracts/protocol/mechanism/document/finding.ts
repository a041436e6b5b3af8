import type { Curve } from "../../bond-curve.ts";
import type { ClauseName } from "./schema.ts";

/** What is wrong with a clause: it can be read in two ways, nobody can enforce it, or it breaks a promise of the rules. */
export type FindingKind = "ambiguous" | "unenforceable" | "breaks-participation" | "breaks-incentive" | "collateral";

export interface Finding {
  readonly clause: ClauseName;
  /** The field, from the document's root: `outcomes[2].payment`. */
  readonly path: string;
  readonly kind: FindingKind;
  /** Stable, for programs. */
  readonly code: string;
  /** What is wrong, and by which rule of the chain or of the theory. */
  readonly reason: string;
  /** What would mend it. */
  readonly next: string;
  /** A warning leaves the rules usable; an error makes them say what will not happen. */
  readonly isWarning: boolean;
}

/** What the linter may know of the chain on which the rules are to hold. */
export interface LintContext {
  /** The governed curve of the topic (IBondCurve.curveOf); absent = none is known. */
  readonly governedCurve?: Curve;
  /** Unix seconds at which a call would be made; absent: deadlines are judged as spans alone. */
  readonly nowS?: number;
}
