"""``python -m triplenet``: the command line, as torchrun starts it."""

from triplenet.cli.app import main

if __name__ == "__main__":
    main()
