"""`python -m genzoo`: the command line."""

from genzoo.cli.main import run

if __name__ == "__main__":
    run()
