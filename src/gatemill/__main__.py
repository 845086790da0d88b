"""`python -m gatemill`."""

from gatemill.cli.main import run

if __name__ == "__main__":
    run()
