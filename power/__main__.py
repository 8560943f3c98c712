"""`python -m power` is `power`."""

from power.cli import main

main()
