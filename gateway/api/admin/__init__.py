"""/admin: what an operator may ask and order, with a key of the scope admin."""
