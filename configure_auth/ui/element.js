/* Brings the token that Configure's element gives this page to the app's server. */
(() => {
  "use strict";
  let given = null;
  const hand = async (event) => {
    const place = event.target instanceof Element && event.target.closest("[data-configure-session]");
    const token = event.detail && event.detail.token;
    // Configure may tell of one token by both events.
    if (!place || typeof token !== "string" || token === given) return;
    const session = new URL(place.dataset.configureSession, location.href);
    if (session.origin !== location.origin) return;
    given = token;
    const element = place.querySelector("configure-auth");
    const externalId = element && element.getAttribute("external-id");
    // What the button leads to ends the connection as well, and shows what stands in its way.
    const offer = (words) => {
      const more = place.querySelector("[data-configure-more]");
      if (words) more.firstElementChild.textContent = words;
      more.hidden = false;
    };
    try {
      const answer = await fetch(session, {
        method: "POST",
        credentials: "same-origin",
        headers: {"Content-Type": "application/json", Accept: "application/json"},
        body: JSON.stringify({token, externalId}),
      });
      // Not JSON: a page of the app's own, as its on_error may answer.
      const said = await answer.json().catch(() => ({}));
      if (said.connected) return location.assign(place.dataset.configureNext || said.next);
      // The person has proved the phone, and is to let the agent in.
      offer(said.error === "not_an_agent_token" ? null : said.message);
    } catch {
      offer(place.querySelector("[data-configure-failed]").dataset.configureFailed);
    }
  };
  document.addEventListener("configure:linked", hand);
  document.addEventListener("configure:authenticated", hand);
})();
