export * from "./challenge.ts";
export * from "./commit.ts";
export * from "./coupling.ts";
export * from "./leaf.ts";
export * from "./leaves-file.ts";
export * from "./map.ts";
export * from "./query.ts";
export * from "./tree.ts";
