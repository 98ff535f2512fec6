"""The console: one page for a browser, its files, and the data that it shows."""
