"""What the gateway is measured against: an empty route, and the two programs that one would write without it."""
