"""What the gateway is measured against: an empty route, and the programs that one would write without it."""
