"""The programs that the peers' environments run: one for each peer, around the same model."""
