// What @openclaw/qqbot's sender uses of the program it is a plugin of, as plainly as it can be done.
import { open } from "node:fs/promises";
import { statSync } from "node:fs";

const HOSTS = new Set(["bots.qq.com", "api.bot.qq.com", "api.sgroup.qq.com"]);

// The host's guard decides which addresses a request may go to. Here it is where the
// platform's hosts become the emulator's.
export async function fetchWithSsrFGuard({ url, init = {}, signal }) {
  const target = new URL(url);
  const here = new URL(process.env.EMULATOR_API_URL);
  if (HOSTS.has(target.hostname)) {
    target.hostname = here.hostname;
    target.port = here.port;
  }
  const response = await fetch(target, { redirect: "error", signal, ...init });
  return { response, release: async () => { await response.body?.cancel().catch(() => {}); } };
}

export const isBlockedHostnameOrIp = () => false;

export const truncateUtf16Safe = (text, limit) => text.slice(0, limit);
export const readProviderTextResponse = (response) => response.text();
export const readResponseTextLimited = async (response, limit) =>
  (await response.text()).slice(0, limit);
export const readResponseWithLimit = async (response) => Buffer.from(await response.arrayBuffer());

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export class FsSafeError extends Error {}
export async function openLocalFileSafely({ filePath }) {
  const handle = await open(filePath);
  return { handle, stat: await handle.stat() };
}
export const readRegularFile = async ({ filePath }) => (await open(filePath)).readFile();
export const statRegularFileSync = (filePath) => statSync(filePath);
export const mimeTypeFromFilePath = () => undefined;

export const asDateTimestampMs = (value) => (Number.isFinite(value) ? value : undefined);
export const formatByteSize = (bytes) => `${bytes} B`;
export const isFutureDateTimestampMs = (value) => value > Date.now();
export function parseStrictPositiveInteger(value) {
  const text = typeof value === "string" ? value.trim() : value;
  return /^\d+$/.test(String(text)) && Number(text) > 0 ? Number(text) : undefined;
}
export const resolveExpiresAtMsFromDurationSeconds = (seconds, { nowMs }) => nowMs + seconds * 1000;
export const resolveTimestampMsToIsoString = (value) => new Date(value).toISOString();
