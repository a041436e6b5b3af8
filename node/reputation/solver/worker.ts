// One thread of a team: takes chunks of the announced operation until there are none left, then waits for the next.
import { workerData } from "node:worker_threads";
import { createWasmKernel, type Operation } from "./kernel.ts";
import { CHUNK_COUNT, control, controlOf } from "./layout.ts";
import { runChunk, type WorkerTask } from "./team.ts";

const { memory, width } = workerData as WorkerTask;
const kernel = createWasmKernel(memory, width);
const { words, argumentList, partials } = controlOf(memory);

for (let generation = 0; ;) {
  Atomics.wait(words, control.generation, generation);
  generation = Atomics.load(words, control.generation);
  if (Atomics.load(words, control.isOver) === 1) break;
  const operation = words[control.operation] as Operation;
  for (;;) {
    const chunk = Atomics.add(words, control.nextChunk, 1);
    if (chunk >= CHUNK_COUNT) break;
    partials[chunk] = runChunk(kernel, words, operation, chunk, argumentList);
  }
  Atomics.add(words, control.idleCount, 1);
  Atomics.notify(words, control.idleCount);
}
