"""Sign-in: attempts, routes, account link, login and the Authlib provider."""
