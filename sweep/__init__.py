"""How results are made: grid, trial, probe, driver, store, command line."""
