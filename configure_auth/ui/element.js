/* Brings the token that Configure's element gives this page to the app's server. */
(() => {
  "use strict";
  const hand = async (event) => {
    const place = event.target instanceof Element && event.target.closest("[data-configure-session]");
    const token = event.detail && event.detail.token;
    if (!place || typeof token !== "string") return;
    const show = (part) => {
      for (const one of place.querySelectorAll("[data-configure-part]")) {
        one.hidden = one.dataset.configurePart !== part;
      }
    };
    try {
      const answer = await fetch(place.dataset.configureSession, {
        method: "POST",
        credentials: "same-origin",
        headers: {"Content-Type": "application/json", Accept: "application/json"},
        body: JSON.stringify({token}),
      });
      const said = await answer.json();
      if (answer.ok) return location.assign(place.dataset.configureNext || said.next);
      // Not yet: the person has proved the phone, and is to let the agent in.
      show(said.error === "not_an_agent_token" ? "consent" : "failed");
    } catch {
      show("failed");
    }
  };
  document.addEventListener("configure:linked", hand);
  document.addEventListener("configure:authenticated", hand);
})();
