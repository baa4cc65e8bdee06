"""`python -m sweep`."""

from sweep.cli.app import main

main()
