"""What watches a gateway: Prometheus' rules, the dashboard for Grafana and its picture, made from one list of panels."""
