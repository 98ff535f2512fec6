"""What is written down: result files, the machine, tables, bars and plots, and the README's section."""
