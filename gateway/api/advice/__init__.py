"""What a refusal says after its own words: what the body looks like, and an example that works for the model.

Imports no dialect: what each one says is in its folder's ``advice``. Nothing here runs for a request that is answered.
"""
