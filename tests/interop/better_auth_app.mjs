// An app on Better Auth that signs people in with Configure, by the provider that Configure's own package has for it.
// It prints its URL once it listens. GET / says who is signed in, or has a button; GET /database is what it stored.
import { createServer } from "node:http";

import { configureBetterAuthOAuthProvider } from "configure";

// The package by the name that it is installed under: the last one that the provider fits as it is, or the newest.
const PACKAGE = process.env.BETTER_AUTH ?? "better-auth";
const NEWEST = PACKAGE !== "better-auth";
const { betterAuth } = await import(PACKAGE);
const { memoryAdapter } = await import(`${PACKAGE}/adapters/memory`);
const { toNodeHandler } = await import(`${PACKAGE}/node`);
const { genericOAuth } = await import(`${PACKAGE}/plugins`);

const BUTTON = `<button>Continue with Configure</button>
<script>
  document.querySelector("button").onclick = async () => {
    const answer = await fetch("/api/auth/sign-in/${NEWEST ? "social" : "oauth2"}", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ${NEWEST ? "provider" : "providerId"}: "configure", callbackURL: "/", errorCallbackURL: "/failed" }),
    });
    location.assign((await answer.json()).url);
  };
</script>`;
const SIGN_OUT = `<button>Sign out</button>
<script>
  document.querySelector("button").onclick = async () => {
    await fetch("/api/auth/sign-out", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    location.reload();
  };
</script>`;

const env = process.env;
const database = { user: [], session: [], account: [], verification: [] };
const server = createServer();

server.listen(0, "127.0.0.1", () => {
  const url = `http://localhost:${server.address().port}`;
  const official = configureBetterAuthOAuthProvider({
    clientId: env.CONFIGURE_OAUTH_CLIENT_ID,
    clientSecret: env.CONFIGURE_OAUTH_CLIENT_SECRET,
    apiKey: env.CONFIGURE_API_KEY,
    agent: env.CONFIGURE_AGENT,
    baseUrl: env.CONFIGURE_BASE_URL,
    accountsOrigin: env.CONFIGURE_ACCOUNTS_URL,
    resource: env.CONFIGURE_BASE_URL,
    ...(env.SCOPES ? { scopes: env.SCOPES.split(" ") } : {}),
  });
  // From 1.7.5 on Better Auth requires an `id` of the user info, and the provider returns `sub` only.
  const withId = async (tokens) => official.getUserInfo(tokens).then((user) => user && { ...user, id: user.sub });
  const provider = NEWEST ? { ...official, getUserInfo: withId } : official;
  const auth = betterAuth({
    baseURL: url,
    secret: "a secret of the app to sign its cookies with",
    database: memoryAdapter(database),
    plugins: [genericOAuth({ config: [provider] })],
    telemetry: { enabled: false },
  });
  const handle = toNodeHandler(auth);
  server.on("request", async (request, response) => {
    const { pathname } = new URL(request.url, url);
    if (pathname.startsWith("/api/auth/")) return handle(request, response);
    if (pathname === "/database") return response.end(JSON.stringify(database));
    response.setHeader("content-type", "text/html; charset=utf-8");
    if (pathname !== "/") return response.writeHead(pathname === "/failed" ? 400 : 404).end("<p>Not signed in</p>");
    const session = await auth.api.getSession({ headers: new Headers({ cookie: request.headers.cookie ?? "" }) });
    const head = '<!doctype html><html lang="en"><title>An app</title><link rel="icon" href="data:,">';
    return response.end(head + (session ? `<p>Hello ${session.user.name}</p>${SIGN_OUT}` : BUTTON));
  });
  console.log(url);
});
