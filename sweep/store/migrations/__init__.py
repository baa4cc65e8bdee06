"""How the schema came to be: Alembic's environment and one module a revision.

A new revision is a module in ``versions`` with the next number, and a line in
`sweep.store.revision`. Views need none of it: they are made anew at the end of each upgrade.
"""
