// Gives the plugin the stand-in wherever it imports a part of its host.
export function resolve(specifier, context, next) {
  if (specifier.startsWith("openclaw/plugin-sdk/")) {
    return { url: new URL("./openclaw_host.mjs", import.meta.url).href, shortCircuit: true };
  }
  return next(specifier, context);
}
