"""The app that `--app MODULE:NAME` names: its import, and each `ConfigureAuth` in it."""
