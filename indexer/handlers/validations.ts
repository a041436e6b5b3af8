import type { Folds } from "./event-types.ts";
import { agentKey, put } from "./row-change.ts";

export const validationFolds: Folds<"validationRegistry"> = {
  ValidationRequest({ validatorAddress, agentId, requestURI, requestHash }, place) {
    return [
      put("validations", {
        ...{ id: `${requestHash}:${agentId}:${validatorAddress}`, agent: agentKey(place, agentId) },
        ...{ validatorAddress, requestHash, requestUri: requestURI },
        ...{ response: null, responseUri: null, responseHash: null, tag: null, answerCount: 0 },
        ...{ createdAt: place.timestamp, updatedAt: place.timestamp },
      }),
    ];
  },
  ValidationResponse(args, place, rows) {
    const { validatorAddress, agentId, requestHash, response, responseURI, responseHash, tag } = args;
    const id = `${requestHash}:${agentId}:${validatorAddress}`;
    const known = rows.get("validations", id);
    if (known === undefined) return [];
    const answer = { response, responseUri: responseURI, responseHash, tag };
    return [
      put("validationAnswers", {
        ...{ id: `${place.transaction}:${place.logIndex}`, validation: id, ...answer, createdAt: place.timestamp },
      }),
      put("validations", { ...known, ...answer, answerCount: known.answerCount + 1, updatedAt: place.timestamp }),
    ];
  },
};
