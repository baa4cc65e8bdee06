"""A page to browse and query the results: Datasette, opened for reading, for this machine alone.

`launch` starts it, `door` is the lock on the address and `database` that on the file. `pages` has
what is ours, from `listing`, `trial_card` and `step_picture`, all of `cells`. Tables, rows and SQL
are Datasette's, told by `metadata`, asked by `asking` in processes of their own; `refusals` says
what is said where there is no answer.
"""
