"""What asks: one request and its check, closed loops and open loops, and what became of each request."""
