"""A page to browse and query the results: Datasette, opened for reading, for this machine alone.

`queries` has the questions that come ready to ask, `metadata` what Datasette is told about
tables and columns, `database` the lock on the file, `door` the lock on the address, `errors`
what is said where there is no answer, and `launch` puts them together.
"""
