import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { openStore } from "../../../node/store/sqlite.ts";

const table = ["CREATE TABLE test_rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT"];

describe("store", function () {
  // One test starts a process of its own, on a machine that may be busy.
  this.timeout(20_000);
  let folder: string;
  const fileOf = (name: string): string => join(folder, name);
  before(() => (folder = mkdtempSync(join(tmpdir(), "surety-store-"))));
  after(() => rmSync(folder, { recursive: true }));

  it("runs each migration step of each stage once", () => {
    const path = fileOf("migrate.db");
    const first = openStore(path);
    first.migrate("test", table);
    first.migrate("other", ["CREATE TABLE other_rows (id INTEGER) STRICT"]);
    first.prepare("INSERT INTO test_rows (text) VALUES (?)").run("kept");
    first.close();
    const second = openStore(path);
    second.migrate("test", [...table, "ALTER TABLE test_rows ADD COLUMN more TEXT NOT NULL DEFAULT 'new'"]);
    expect(second.prepare("SELECT text, more FROM test_rows").all()).to.deep.include({ text: "kept", more: "new" });
    expect(() => second.migrate("test", table))
      .to.throw()
      .with.property("code", "STORE_NEWER");
    second.close();
  });

  it("leaves nothing of a step, or a transaction, that throws", () => {
    const store = openStore(":memory:");
    expect(() => store.migrate("test", [...table, "not sql"])).to.throw();
    store.migrate("test", table);
    const work = (): void => {
      store.prepare("INSERT INTO test_rows (text) VALUES (?)").run("gone");
      throw new Error("stop");
    };
    expect(() => store.transaction(work)).to.throw("stop");
    expect(store.prepare("SELECT * FROM test_rows").all()).to.deep.equal([]);
    store.close();
  });

  it("joins inner transactions to the outer one, but never a synced one to a relaxed one", () => {
    const store = openStore(":memory:");
    store.migrate("test", table);
    const insert = store.prepare("INSERT INTO test_rows (text) VALUES (?)");
    expect(() =>
      store.transaction(() => {
        store.transaction(() => insert.run("inner"));
        throw new Error("outer");
      }),
    ).to.throw("outer");
    expect(store.prepare("SELECT * FROM test_rows").all().length).to.equal(0);
    const mixed = () => store.transaction(() => store.transaction(() => insert.run("x"), "synced"), "relaxed");
    expect(mixed).to.throw().with.property("code", "STORE_DURABILITY");
    store.close();
  });

  it("commits with full synchronisation again after a relaxed transaction", () => {
    const store = openStore(fileOf("sync.db"));
    store.migrate("test", table);
    const level = (): unknown => store.prepare("PRAGMA synchronous").get()?.["synchronous"];
    let inside: unknown;
    store.transaction(() => (inside = level()), "relaxed");
    expect([inside, level()]).to.deep.equal([1, 2]);
    store.close();
  });

  it("gives a lease to one holder, and to the next once it is released", () => {
    for (const path of [fileOf("lease.db"), ":memory:"]) {
      const store = openStore(path);
      const lease = store.lease("writer");
      expect(() => store.lease("writer"))
        .to.throw()
        .with.property("code", "LEASE_HELD");
      lease.release();
      lease.release();
      store.lease("writer");
      store.close();
    }
  });

  it("gives the lease of a killed process to the next one, and not before", async () => {
    const path = fileOf("killed.db");
    const module = new URL("../../../node/store/sqlite.ts", import.meta.url).href;
    const script = `import { openStore } from ${JSON.stringify(module)};
      // A store that nothing refers to is collected, and its lease with it.
      const store = openStore(${JSON.stringify(path)}); store.lease("writer");
      console.log("held"); setInterval(() => store.path, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    const store = openStore(path);
    expect(() => store.lease("writer"))
      .to.throw()
      .with.property("code", "LEASE_HELD");
    child.kill("SIGKILL");
    await once(child, "exit");
    store.lease("writer");
    store.close();
  });

  it("names a path that cannot be opened", () => {
    expect(() => openStore(join(folder, "absent", "x.db")))
      .to.throw()
      .with.property("code", "STORE_OPEN_FAILED");
  });
});
