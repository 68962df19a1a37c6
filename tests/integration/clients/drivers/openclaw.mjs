// Drives @openclaw/qqbot: its sender, with a stand-in for the program it is a plugin of.
import { readdirSync } from "node:fs";
import { register } from "node:module";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

register("./openclaw_host_hooks.mjs", import.meta.url);

const answers = process.stdout.write.bind(process.stdout);
console.log = console.info = console.debug = console.error;

const folder = join(process.env.OPENCLAW_QQBOT, "dist", ".setup");
const file = readdirSync(folder).find((name) => /^sender-.*\.mjs$/.test(name));
const exported = Object.values(await import(pathToFileURL(join(folder, file)).href));
// The names that modules import are shortened; this one holds the functions under their own.
const sender = exported.find((value) => typeof value?.sendMedia === "function");

const creds = { appId: process.env.EMULATOR_APP_ID, clientSecret: process.env.EMULATOR_SECRET };
const quiet = { info() {}, warn() {}, error() {}, debug() {} };

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  let answer = { error: null };
  try {
    if (order.fresh ?? true) sender.registerAccount(creds.appId, { logger: quiet });
    await sender.sendMedia({
      target: { type: order.chat_type, id: order.target },
      kind: "file",
      source: order.url ? { url: order.url } : { localPath: order.path },
      fileName: basename(order.path),
      creds,
    });
  } catch (error) {
    answer = { error: error.name, text: String(error.message) };
  }
  answers(JSON.stringify(answer) + "\n");
}
