// What happens on the chain while somebody reads a page. Nothing is changed under the reader's eyes: the page only tells.
import { fill, h } from "./dom.ts";

/** @param reload shows the page anew */
export function followChain(reload: () => void): void {
  const news = document.getElementById("news") as HTMLElement;
  const tell = (text: string) => {
    const again = () => {
      fill(news);
      reload();
    };
    fill(news, `${text} `, h("button", { type: "button", onclick: again }, "Show the page anew"));
  };
  const events = new EventSource("/events");
  events.addEventListener("reorg", ({ data }) => {
    const { undoneBlocks } = JSON.parse(data as string) as { undoneBlocks: number };
    tell(`The chain replaced its last ${undoneBlocks} blocks: what stands here may not have happened.`);
  });
  events.addEventListener("rebuild", () => tell("The chain is another one than before: everything is read again."));
  addEventListener("pagehide", () => events.close());
}
