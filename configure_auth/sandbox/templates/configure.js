/* Sandbox stand-in for the hosted script: <configure-auth>, <configure-sso-button>, data-configure-link and the
   PKCE helpers, as far as documents show them. Any phone works; the code is 000000. */
(() => {
  "use strict";
  const API = "__API_URL__", ACCOUNTS = "__ACCOUNTS_URL__", PREFIX = "configure:sso:pkce:",
    ELEMENT_TOKEN = "__ELEMENT_TOKEN__";
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { display: block; font: 16px/1.5 system-ui, sans-serif; }
    form { display: grid; gap: 10px; max-width: 360px; padding: 20px; background: #fff; color: #16181d;
      border: 1px solid #d5d9e0; border-radius: 14px; }
    b { font-size: 13px; color: #5a4300; background: #ffe9a8; border-radius: 6px; padding: 2px 8px; justify-self: start; }
    input, button { font: inherit; min-height: 44px; border-radius: 10px; padding: 8px 12px; }
    input { border: 1px solid #8b93a1; width: 100%; box-sizing: border-box; background: #fff; color: inherit; }
    button { border: 0; background: #1f2328; color: #fff; font-weight: 600; cursor: pointer; }
    button.plain { background: #fff; color: #1f1f1f; border: 1px solid #747775; }
    p { margin: 0; color: #b42318; } p:empty { display: none; }
    dialog { border: 0; padding: 0; background: none; } dialog::backdrop { background: rgb(0 0 0 / 45%); }`);

  const post = async (path, body, headers) => {
    const answer = await fetch(API + path, {method: "POST", credentials: "omit", body: JSON.stringify(body),
      headers: {"Content-Type": "application/json", ...headers}});
    const json = await answer.json();
    if (!answer.ok) throw new Error(json.error.message || json.error);
    return json;
  };

  const emit = (target, name, detail) =>
    target.dispatchEvent(new CustomEvent(name, {bubbles: true, composed: true, detail}));

  /* Asks for a phone and a code inside `root`; resolves with the raw user token and what belongs to it. */
  const askPhone = (root, target, key, fields) => new Promise((resolve) => {
    const form = document.createElement("form");
    form.innerHTML = `<b>Sandbox</b><label><span></span><input required></label><p role="alert"></p><button></button>`;
    const [label, input, problem, button] = ["span", "input", "p", "button"].map((name) => form.querySelector(name));
    let phone = null;
    const show = (text, type, complete, action) => {
      label.textContent = text; input.type = type; input.autocomplete = complete; input.value = "";
      button.textContent = action; problem.textContent = "";
    };
    show("Phone number", "tel", "tel", "Continue");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        if (phone === null) {
          await post("/v1/auth/otp/start", {phone: input.value}, {"X-API-Key": key});
          phone = input.value;
          emit(target, "configure:phone-submit", {phone});
          show("Six-digit code", "text", "one-time-code", "Verify");
          return;
        }
        const verified = await post("/v1/auth/otp/verify", {phone, code: input.value, ...fields}, {"X-API-Key": key});
        resolve({token: verified.token, userId: verified.user_id, phone});
      } catch (error) {
        problem.textContent = error.message;
        emit(target, "configure:error", {message: error.message});
      }
    });
    root.replaceChildren(form);
    input.focus();
  });

  const approve = async (userToken, agent) => {
    const approved = await post("/v1/embed/approve", {agent, receipt: null}, {Authorization: `Bearer ${userToken}`});
    return {token: approved.token, userId: approved.userId || approved.user_id};
  };

  const linkedDetail = (linked, agent) => ({...linked, tokenUse: "agent", approved: true, agent, surface: "link",
    auth: {method: "phone", federated: true}});

  customElements.define("configure-auth", class extends HTMLElement {
    #detail = null;
    connectedCallback() {
      if (this.shadowRoot) return;
      const root = this.attachShadow({mode: "open"});
      root.adoptedStyleSheets = [sheet];
      const key = this.getAttribute("api-key") || "", agent = this.getAttribute("agent");
      const externalId = this.getAttribute("external-id");
      if (!key.startsWith("pk_")) {
        root.textContent = "api-key must be a publishable key";
        return;
      }
      /* Whose token this event carries is told in two ways: the raw one of the one-time password, or an agent's. */
      askPhone(root, this, key, {...(agent && {agent}), ...(externalId && {external_id: externalId})}).then(
        async (user) => {
          const linked = ELEMENT_TOKEN === "agent" && await approve(user.token, agent);
          this.#detail = linked ? {...user, ...linked} : user;
          root.replaceChildren(Object.assign(document.createElement("span"), {textContent: "Signed in (Sandbox)"}));
          emit(this, "configure:authenticated", this.#detail);
          if (linked) emit(this, "configure:linked", linkedDetail(linked, agent));
        });
    }
    getToken() { return this.#detail && this.#detail.token; }
    getUserId() { return this.#detail && this.#detail.userId; }
    logout() { this.#detail = null; emit(this, "configure:logout", {}); }
  });

  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-configure-link]");
    if (!button) return;
    event.preventDefault();
    const {publishableKey, agent} = button.dataset;
    const host = document.createElement("div"), root = host.attachShadow({mode: "open"});
    root.adoptedStyleSheets = [sheet];
    const dialog = root.appendChild(document.createElement("dialog"));
    document.body.append(host);
    dialog.addEventListener("close", () => host.remove());
    dialog.showModal();
    const user = await askPhone(dialog, button, publishableKey, {agent});
    const linked = await approve(user.token, agent);
    dialog.close();
    emit(button, "configure:linked", linkedDetail(linked, agent));
  });

  const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_")
    .replaceAll("=", "");
  const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

  const startSso = async (clientId, redirectUri, scopes) => {
    const state = random(), codeVerifier = random();
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(codeVerifier));
    sessionStorage.setItem(PREFIX + state, JSON.stringify({codeVerifier}));
    location.assign(`${ACCOUNTS}/oauth/authorize?` + new URLSearchParams({response_type: "code", client_id: clientId,
      redirect_uri: redirectUri, scope: scopes, code_challenge: base64url(new Uint8Array(digest)),
      code_challenge_method: "S256", state}));
  };

  const ssoButton = ({el, clientId, redirectUri, scopes, width}) => {
    const target = typeof el === "string" ? document.querySelector(el) : el;
    const root = target.shadowRoot || target.attachShadow({mode: "open"});
    root.adoptedStyleSheets = [sheet];
    const button = document.createElement("button");
    button.className = "plain";
    button.textContent = "Continue with Configure";
    if (width) button.style.width = typeof width === "number" ? `${width}px` : width;
    button.addEventListener("click", () => startSso(clientId, redirectUri, scopes.join(" ")));
    root.replaceChildren(button);
  };

  customElements.define("configure-sso-button", class extends HTMLElement {
    connectedCallback() {
      const read = (name) => this.getAttribute(name) || "";
      ssoButton({el: this, clientId: read("client-id"), redirectUri: read("redirect-uri"), width: read("width"),
        scopes: read("scopes").split(" ").filter(Boolean)});
    }
  });

  window.Configure = Object.assign(window.Configure || {}, {
    ssoButton,
    getSsoPkce: (state) => JSON.parse(sessionStorage.getItem(PREFIX + state)),
    clearSsoPkce: (state) => sessionStorage.removeItem(PREFIX + state),
  });
})();
