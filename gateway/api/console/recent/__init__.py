"""The figures of the last ten minutes: recorded by one worker of all, read by each, without Prometheus."""
