"""What clients get while something fails, and how long it takes until all is right again. See FAULTS.md."""
