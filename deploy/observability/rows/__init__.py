"""The rows of the dashboard, by what they are about, and what they are made of."""
