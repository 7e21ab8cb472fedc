"""`python -m terrarium` is `terrarium`."""

from terrarium.cli.main import main

main()
