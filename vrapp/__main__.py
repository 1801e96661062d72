"""``python -m vrapp``: the same program as the installed command."""

import sys

from vrapp.app.cli import main

if __name__ == "__main__":  # a spawned worker imports this module too
    sys.exit(main())
