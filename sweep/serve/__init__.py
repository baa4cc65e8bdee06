"""A page to browse and query the results: Datasette, opened for reading, for this machine alone.

`launch` starts it, `door` is the lock on the address and `database` that on the file. `pages` has
what is ours, from `overview` (sweeps), `summary_rows` (tables of `analysis`), `trial_list`,
`trial_card` and `step_picture`, all of `cells`. Tables, rows and SQL are Datasette's, told by
`metadata` and `queries`, asked by `asking` in processes that do `answering`; `places` bounds what
runs at once, and `refusals` says what is said where there is no answer.
"""
