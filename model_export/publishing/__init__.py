"""How a version is made, appears, and is taken back: every change that servers see is one rename."""
