import { measureCompat } from "./gas/compat.ts";
import { measureCredentials } from "./gas/credentials.ts";
import { measureDeals } from "./gas/deals.ts";
import { measureIdentity } from "./gas/identity.ts";
import { measureIdentityParts } from "./gas/identity-parts.ts";
import { measureReputation } from "./gas/reputation.ts";
import { measureRulings } from "./gas/rulings.ts";
import { measureWindows } from "./gas/windows.ts";
import { createRig } from "./gas/rig.ts";
import { PRODUCTION } from "./harness/production.ts";
import type { Bench } from "./harness/report.ts";

/** Gas of every operation, whole transactions, on registries that others use already. Exact: each run gives the same. */
export const bench: Bench = {
  profile: PRODUCTION,
  run: async () => {
    const rig = await createRig();
    try {
      return [
        ...(await measureIdentity(rig)),
        ...(await measureDeals(rig)),
        ...(await measureReputation(rig)),
        ...(await measureCompat(rig)),
        ...(await measureCredentials()),
        ...(await measureIdentityParts(rig)),
        ...(await measureRulings(rig)),
        ...(await measureWindows(rig)),
      ];
    } finally {
      await rig.chain.close();
    }
  },
};
