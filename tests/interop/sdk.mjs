// Configure's SDK, made from the environment. Each line that comes in is a call; each line that goes out is its end:
// {"of": "auth" | "profile" | "module" | "provider", "verb": ..., "given": [...], "subject": {...}, "options": {...}}
import readline from "node:readline";

import * as configure from "configure";

const client = new configure.Configure();
const profiles = new Map();

function owner({ of, subject, options, fresh }) {
  if (of === "auth") return client.auth;
  if (of === "module") return configure;
  if (of === "provider") return configure.configureBetterAuthOAuthProvider(options);
  if (fresh) return client.profile(subject);
  // One object for a subject, so that a commit goes with the reads before it.
  const key = JSON.stringify(subject);
  if (!profiles.has(key)) profiles.set(key, client.profile(subject));
  return profiles.get(key);
}

async function answered(call) {
  // The SDK would wait for ever, and the test with it.
  const late = setTimeout(() => process.exit(1), 30_000);
  try {
    return { value: (await owner(call)[call.verb](...call.given)) ?? null };
  } catch (error) {
    // Another error than the SDK's own is told by its name.
    return { error: { code: error.name, ...error, message: error.message } };
  } finally {
    clearTimeout(late);
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answered(JSON.parse(line))));
}
