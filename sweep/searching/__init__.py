"""Which settings are the worst, between and beyond the values of a grid? Optuna looks for them.

`study` turns recorded trials into Optuna's; the database is the one source of truth, and a
study is only ever rebuilt from it, in memory.
"""
