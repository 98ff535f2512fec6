"""Rollouts that can be taken back: a new version gets a part of the requests, evidence decides, and one command leads back.

The modules of this folder itself are values and pure functions: a plan, its orders, where a request goes, what is decided. The
rooms do the rest: ``evidence`` counts and weighs, ``store`` keeps plans in a database, ``live`` is asked by each request on the
event loop and does no I/O, ``control`` follows the database and acts, ``commands`` is the command line.
"""
