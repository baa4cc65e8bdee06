"""Where outcomes are recorded: the tables, their migrations, and the one writer.

Import from the modules themselves; this package imports nothing, so that commands which
only read stay quick.
"""
