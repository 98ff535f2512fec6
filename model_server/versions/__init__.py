"""Which versions there are, which are wanted, and how the loaded ones follow. How one is loaded is an argument."""
