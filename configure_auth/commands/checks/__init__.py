"""`verify`: checks of settings, of an app's own configuration and of a real sign-in. No finding contains a secret."""
