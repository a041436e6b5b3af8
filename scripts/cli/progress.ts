/** A progress line: overwritten in place on a terminal, a new line every tenth elsewhere. */
export class Progress {
  readonly #label: string;
  readonly #total: number;
  readonly #startedAt = performance.now();
  #lastTenth = -1;

  constructor(label: string, total: number) {
    this.#label = label;
    this.#total = total;
  }

  update(count: number): void {
    const share = this.#total === 0 ? 1 : count / this.#total;
    const elapsedS = (performance.now() - this.#startedAt) / 1000;
    const leftS = count === 0 ? "?" : Math.round((elapsedS / count) * (this.#total - count)).toString();
    const bar = "█".repeat(Math.round(share * 24)).padEnd(24, "░");
    const line = `${this.#label} ${bar} ${count}/${this.#total}, ${leftS} s left`;
    if (process.stderr.isTTY) {
      process.stderr.write(`\r${line}\u001b[K${count === this.#total ? "\n" : ""}`);
    } else if (Math.floor(share * 10) > this.#lastTenth) {
      this.#lastTenth = Math.floor(share * 10);
      process.stderr.write(`${line}\n`);
    }
  }
}
