"""Types, contracts, maths, errors and clock that every floor above shares.

Nothing is imported here: each module is named in full, so that a process pays only for what it uses.
"""
