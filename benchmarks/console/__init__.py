"""What open consoles cost: the gateway under load without and with them, and what the recorder of figures takes by itself."""
