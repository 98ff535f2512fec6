"""Tests of the whole stack: real processes, exported models, HTTP."""
