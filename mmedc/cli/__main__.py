"""`python -m mmedc.cli`."""

from mmedc.cli import main

main()
