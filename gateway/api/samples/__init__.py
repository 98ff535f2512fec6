"""What a request for a model looks like, made from its signatures alone: for the documentation and for refusals.

Imports no dialect, and no documentation: the names of members are plain words here.
"""
