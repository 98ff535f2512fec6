"""Prometheus' configuration, rules and alerts, and the dashboard, held against a real Prometheus and a real gateway."""
