"""The event kernel: engines, guards and fronts in virtual time as compiled code over arrays of records.

Decisions are not written here: the policies' own functions are compiled along (see `compiled`).
"""
