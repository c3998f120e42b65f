/* Sandbox stand-in for the hosted script: the parts of it that are documented. */
(() => {
  "use strict";
  const signInUrl = "__SIGN_IN_URL__";
  window.Configure = Object.assign(window.Configure || {}, { sandbox: true, signInUrl });
})();
