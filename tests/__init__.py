"""The project's tests: they mirror the packages; whole-stack tests stand beside them."""
