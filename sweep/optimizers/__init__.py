"""Which optimizers are there, and how does each one take a setting?

One file a collection, one row an optimizer. To add an optimizer, add its row.
"""
