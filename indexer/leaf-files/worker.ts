// Judges files of leaves in a thread of its own: hashing a million of them would hold queries up for seconds.
import { parentPort } from "node:worker_threads";
import { judgeOutline, judgePiece, topLevelsOf, type LeavesId, type Verdict } from "#protocol";

/** One after the other; answers come in the same order. */
export type JudgeTask =
  | { readonly kind: "outline"; readonly id: LeavesId; readonly bytes: Uint8Array }
  /** Of the file whose outline came before. */
  | { readonly kind: "piece"; readonly piece: number; readonly bytes: Uint8Array };

/** Of an outline the levels from it up to the root, of a piece the levels of each of its chunks. */
export type JudgeAnswer = Verdict<readonly Uint8Array[]>;

const port = parentPort;
if (port === null) throw new Error("this file runs as a worker");
let current: { readonly outline: Uint8Array; readonly leafCount: number } | undefined;

port.on("message", (task: JudgeTask) => {
  const answer = judge(task);
  port.postMessage(answer, answer.kind === "accept" ? answer.value.map(({ buffer }) => buffer as ArrayBuffer) : []);
});

function judge(task: JudgeTask): JudgeAnswer {
  if (task.kind === "outline") {
    const { id, bytes: outline } = task;
    const judged = judgeOutline(outline, id);
    if (judged.kind !== "accept") return judged;
    current = { outline, leafCount: id.leafCount };
    return { kind: "accept", value: [topLevelsOf(outline, id.leafCount)] };
  }
  if (current === undefined) throw new Error("a piece came before its outline");
  return judgePiece(task.bytes, task.piece, current.outline, current.leafCount);
}
