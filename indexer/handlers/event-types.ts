import type { ContractEventName, DecodeEventLogReturnType, Hex } from "viem";
import type { EventPlace, RowChange, RowReader } from "./row-change.ts";
import type { ContractName, foldedAbis } from "./decode.ts";

type AbiOf<C extends ContractName> = (typeof foldedAbis)[C];

/** Arguments of one event, as viem decodes them, but with lower-case addresses. */
export type EventArgs<C extends ContractName, E extends ContractEventName<AbiOf<C>>> = Extract<
  DecodeEventLogReturnType<AbiOf<C>, E, Hex[], Hex>,
  { args: unknown }
>["args"];

/** Folds of one contract's events. An event without a fold moves no row; its raw log is kept. */
export type Folds<C extends ContractName> = {
  readonly [E in ContractEventName<AbiOf<C>>]?: (
    args: EventArgs<C, E>,
    place: EventPlace,
    rows: RowReader,
  ) => readonly RowChange[];
};
