from .commands.main import main

main(prog_name="python -m configure_auth")
