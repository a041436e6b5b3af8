import { hashMessage, hashTypedData, keccak256, parseSignature, serializeTransaction, type LocalAccount } from "viem";
import { toAccount } from "viem/accounts";
import type { Signer } from "#protocol";

/** One of our signers as viem's account, so that a wallet client can use it; the key stays inside the signer. */
export function accountOf(signer: Signer): LocalAccount {
  const sign = (digest: `0x${string}`) => Promise.resolve(signer.sign(digest));
  const account: LocalAccount = toAccount({
    address: signer.address,
    sign: ({ hash }) => sign(hash),
    signMessage: ({ message }) => sign(hashMessage(message)),
    signTypedData: (typedData) => sign(hashTypedData(typedData as never)),
    signTransaction(transaction, options) {
      const serialize = options?.serializer ?? serializeTransaction;
      const digest = keccak256(serialize(transaction) as `0x${string}`);
      return Promise.resolve(serialize(transaction, parseSignature(signer.sign(digest))) as `0x${string}`);
    },
  });
  return account;
}
