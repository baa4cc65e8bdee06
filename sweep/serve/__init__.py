"""A page to browse and query the results: Datasette, opened for reading, for this machine alone.

`queries` has the questions that come ready to ask, `metadata` what Datasette is told about
tables and columns, `database` the lock on the file, `local` the lock on the address, and
`launch` puts them together. Only `database` and `launch` import Datasette.
"""
