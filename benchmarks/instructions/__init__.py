"""What a request costs in instructions of the gateway: a figure that no other work on the machine moves."""
