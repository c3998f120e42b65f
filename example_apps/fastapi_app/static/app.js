// The page of an API with bearer tokens. The token stays in this variable; a cookie that no script can read gets a new
// one after a reload, and after coming back from Configure.
let token = null;

const find = (selector) => document.querySelector(selector);
const show = (selector, shown) => { find(selector).hidden = !shown; };
const query = new URLSearchParams(location.search);

addEventListener("pageshow", (event) => event.persisted && location.reload()); // Back after signing out shows nothing

// ── the API ─────────────────────────────────────────────────────────────────────────────────────────────────────────

async function renew() {
  const answer = await fetch("/api/token", { method: "POST" });
  token = (await answer.json())?.token ?? null;
  return token !== null;
}

async function call(method, path, body) {
  const send = () => fetch(path, {
    method,
    headers: {
      Accept: "application/json",
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(body && { "Content-Type": "application/json" }),
    },
    body: body && JSON.stringify(body),
    redirect: "manual", // no endpoint of the app has one; the bearer is for no other host
  });
  let answer = await send();
  if (answer.status === 401 && token && await renew()) answer = await send(); // the token had ended
  return answer;
}

const get = async (path) => {
  const answer = await call("GET", path);
  return answer.ok ? answer.json() : null;
};

// ── Configure ───────────────────────────────────────────────────────────────────────────────────────────────────────

// [link]
// A link carries no bearer token, so the button's press becomes a request that does; its answer is where to go.
async function connect(event) {
  event.preventDefault();
  const { href } = event.currentTarget;
  const answer = await call("POST", href);
  if (answer.type === "opaqueredirect") return location.assign(href); // to the app's usual address, which says why
  const { url, message, detail } = await answer.json();
  if (url) location.assign(url);
  else fail(message ?? detail);
}

// Coming back carries none either: Configure's answer waits for this page, which knows who it is for.
async function finish() {
  const answer = await call("POST", `/api/configure/finish?${new URLSearchParams({ configure_finish: query.get("configure_finish") })}`);
  if (answer.status === 202) return setTimeout(() => location.reload(), 1000); // another tab is about to end it
  const { next, message } = await answer.json();
  history.replaceState(null, "", location.pathname);
  if (message) fail(message);
  return next ? "connected" : null;
}
// [end]

function fail(message) {
  const place = find(".card.narrow .error") ?? find("#error");
  place.textContent = message ?? "That didn't work. Try again in a moment.";
  place.hidden = false;
}

// ── what is shown ───────────────────────────────────────────────────────────────────────────────────────────────────

function list(selector, entries) {
  const rows = entries.filter(([, value]) => value?.length).flatMap(([term, value]) => {
    const [name, text] = [document.createElement("dt"), document.createElement("dd")];
    name.textContent = term;
    if (Array.isArray(value)) {
      const items = document.createElement("ul");
      items.append(...value.map((item) => Object.assign(document.createElement("li"), { textContent: item })));
      text.append(items);
    } else text.textContent = value;
    return [name, text];
  });
  find(selector).replaceChildren(...rows);
}

async function showSettings(account) {
  list("#account", [
    ["Username", account.username ?? "none"],
    ["Name", account.name],
    ["Email", account.email],
    ["Password", account.has_password ? "set" : "none: you sign in with Configure"],
  ]);
  let connection = await get("/api/connection");
  const profile = connection && !connection.needs_reconnect ? await get("/api/profile") : null;
  if (connection && !profile) connection = await get("/api/connection"); // Configure may have taken the access back
  if (profile) {
    list("#profile", [
      ["Name", profile.name ?? "not shared"],
      ["Phone", profile.phone_last4 ? `ends in ${profile.phone_last4}` : "not shared"],
      ["Summary", profile.summary],
      ["Preferences", profile.preferences],
    ]);
  }
  if (connection) {
    const since = new Date(connection.linked_at);
    find("#since").textContent = since.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
  }
  show("#profile", profile);
  show("#unconnected", !connection);
  show("#reconnect", connection?.needs_reconnect);
  show("#away", connection && !connection.needs_reconnect && !profile);
  show("#connected", connection);
  show("#disconnect", account.has_password);
  show("#only-way-in", !account.has_password);
}

async function showHome(account) {
  const greet = (name) => { if (name) find("#hello").textContent = `Hello, ${name}.`; };
  greet(account.name ?? account.username);
  const profile = await known();
  if (!account.name && !account.username) greet(profile?.name);
  if (profile?.preferences.length) {
    find("#known").textContent = `You prefer: ${profile.preferences.slice(0, 3).join("; ")}.`;
    show("#known", true);
  }
}

// The profile, asked once in 15 minutes and not in each view; after an outage, in which there is none, in a minute.
async function known() {
  const connection = await get("/api/connection");
  if (!connection || connection.needs_reconnect) return null;
  const kept = JSON.parse(sessionStorage.known ?? "null");
  if (kept?.of === connection.configure_user_id && kept.until > Date.now()) return kept.profile;
  const profile = await get("/api/profile");
  const until = Date.now() + (profile ? 15 : 1) * 60_000;
  sessionStorage.known = JSON.stringify({ of: connection.configure_user_id, until, profile });
  return profile;
}

const NOTICES = {
  "cancelled": "You cancelled. Nothing was shared and nothing has changed.",
  "connected": "Configure is connected.",
  "disconnected": "Configure is disconnected.",
  "signed-in": "You signed in with Configure.",
};

async function start() {
  let outcome = query.get("configure");
  const account = await renew() ? await get("/api/account") : null;
  if (location.pathname === "/settings") {
    if (!account) {
      // Kept by us, not in a link that anybody can write; with what a sign-in that came back still has to finish.
      const handle = query.get("configure_finish");
      sessionStorage.next = handle ? `/settings?${new URLSearchParams({ configure_finish: handle })}` : "/settings";
      return location.replace(outcome === "cancelled" ? "/sign-in?configure=cancelled" : "/sign-in");
    }
    if (query.has("configure_finish")) outcome = await finish();
  }
  if (query.has("configure")) history.replaceState(null, "", location.pathname); // shown once
  fill(account ? "signed-in" : "signed-out");
  if (NOTICES[outcome]) {
    find("#notice").textContent = NOTICES[outcome];
    show("#notice", true);
  }
  if (account && find("#hello")) await showHome(account);
  if (location.pathname === "/settings") await showSettings(account);
}

function fill(who) {
  for (const part of document.querySelectorAll("template")) {
    const here = (part.dataset.path ?? location.pathname) === location.pathname;
    if (!here || (part.dataset.for ?? who) !== who) continue;
    if (part.dataset.title) document.title = `${part.dataset.title} · Fieldnotes`;
    part.replaceWith(part.content);
  }
  for (const form of document.forms) form.addEventListener("submit", submit);
  for (const button of document.querySelectorAll(".configure-button")) button.addEventListener("click", press);
  find("input")?.focus();
}

// ── what is pressed ─────────────────────────────────────────────────────────────────────────────────────────────────

async function press(event) {
  const button = event.currentTarget;
  if (token) return connect(event);
  if (sessionStorage.next) button.href += `?${new URLSearchParams({ next: sessionStorage.next })}`;
  sessionStorage.removeItem("next");
}

async function submit(event) {
  event.preventDefault();
  const { action, method, next } = ACTIONS[event.target.id];
  const fields = new FormData(event.target);
  const answer = await call(method ?? "POST", action, [...fields].length ? Object.fromEntries(fields) : undefined);
  if (answer.ok) {
    sessionStorage.removeItem("known");
    location.assign(next ?? sessionStorage.next ?? "/");
    sessionStorage.removeItem("next");
  } else {
    const { detail, message } = await answer.json();
    fail(Array.isArray(detail) ? "Choose a username of up to 40 characters and a password of at least 8." : detail ?? message);
  }
}

const ACTIONS = {
  "sign-up": { action: "/api/sign-up" },
  "sign-in": { action: "/api/sign-in" },
  "sign-out": { action: "/api/sign-out", next: "/" },
  "disconnect": { action: "/api/configure/disconnect", next: "/settings?configure=disconnected" },
  "delete-account": { action: "/api/account", method: "DELETE", next: "/" },
};

start();
