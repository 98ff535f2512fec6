"""The numbers in the README, and the means to make them again: `make bench`, `make bench-peers`, `make bench-instructions`."""
