"""`python -m mmedc`."""

from mmedc.cli import main

main()
