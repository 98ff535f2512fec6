"""Requests that come from the user instead of from a guess: files of samples, read into arrays by input name."""
