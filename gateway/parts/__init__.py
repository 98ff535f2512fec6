"""The parts of the application that have settings of their own, each made from the settings of one process."""
