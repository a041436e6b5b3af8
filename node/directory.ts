import { gql, GraphQLClient } from "graphql-request";
import { tokensOf } from "#protocol";
import type { DirectoryPort } from "./discovery/asking.ts";

/** Words of a question that the registry's files are searched for. */
const MAX_WORDS = 4;

const filesQuery = gql`
  query Files($word: String!, $first: Int!) {
    names: agentRegistrationFiles(first: $first, where: { name_contains_nocase: $word }) {
      agentId
    }
    descriptions: agentRegistrationFiles(first: $first, where: { description_contains_nocase: $word }) {
      agentId
    }
  }
`;
const agentsQuery = gql`
  query Agents($first: Int!) {
    agents(first: $first, orderBy: lastActivity, orderDirection: desc) {
      agentId
    }
  }
`;

type Ids = readonly { readonly agentId: string }[];

/**
 * The chain's registry by way of an indexer: agents whose registration file has words of the question, the most words first,
 * then those that did something on chain last. It only names agents: what they offer, they say and sign themselves.
 * @param onFault told when the indexer fails; the search then does without it
 */
export function createDirectory(graphqlUrl: string, onFault: (fault: unknown) => void): DirectoryPort {
  const graphql = new GraphQLClient(graphqlUrl);
  return {
    async agentsOf(query, limit, signal) {
      try {
        const words = [...new Set(tokensOf(query))].slice(0, MAX_WORDS);
        const asked = words.map(async (word) => {
          const variables = { word, first: limit };
          const found = await graphql.request<{ names: Ids; descriptions: Ids }>({
            document: filesQuery,
            variables,
            signal,
          });
          return new Set([...found.names, ...found.descriptions].map(({ agentId }) => agentId));
        });
        const recent = graphql.request<{ agents: Ids }>({ document: agentsQuery, variables: { first: limit }, signal });
        const [latest, ...byWord] = await Promise.all([recent, ...asked]);
        const hits = new Map<string, number>();
        for (const ids of byWord) for (const id of ids) hits.set(id, (hits.get(id) ?? 0) + 1);
        const ranked = [...hits].toSorted((a, b) => b[1] - a[1]).map(([id]) => id);
        const others = latest.agents.map(({ agentId }) => agentId);
        return [...new Set([...ranked, ...others])].slice(0, limit).map(BigInt);
      } catch (fault) {
        if (!signal.aborted) onFault(fault);
        return [];
      }
    },
  };
}
