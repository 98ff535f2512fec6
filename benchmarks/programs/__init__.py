"""The programs of a contender: started, measured, and ended with all that they have started."""
