// An app on Better Auth that signs people in with Configure, by the provider that Configure's own package has for it.
// It prints its URL once it listens. GET / says who is signed in, or has a button; GET /database is what it stored.
import { createServer } from "node:http";

import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";
import { genericOAuth } from "better-auth/plugins";
import { configureBetterAuthOAuthProvider } from "configure";

const BUTTON = `<button>Continue with Configure</button>
<script>
  document.querySelector("button").onclick = async () => {
    const answer = await fetch("/api/auth/sign-in/oauth2", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ providerId: "configure", callbackURL: "/", errorCallbackURL: "/failed" }),
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
  const provider = configureBetterAuthOAuthProvider({
    clientId: env.CONFIGURE_OAUTH_CLIENT_ID,
    clientSecret: env.CONFIGURE_OAUTH_CLIENT_SECRET,
    apiKey: env.CONFIGURE_API_KEY,
    agent: env.CONFIGURE_AGENT,
    baseUrl: env.CONFIGURE_BASE_URL,
    accountsOrigin: env.CONFIGURE_ACCOUNTS_URL,
    resource: env.CONFIGURE_BASE_URL,
    ...(env.SCOPES ? { scopes: env.SCOPES.split(" ") } : {}),
  });
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
