"""Configure as a provider in the app's own Authlib registry."""


def register_oauth() -> None:
    raise NotImplementedError
