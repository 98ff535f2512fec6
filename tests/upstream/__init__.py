"""tensorflow/serving's own test of its server, run against ours from a checkout outside this tree (`make upstream-test`).

Nothing of upstream's is kept here: UPSTREAM_SERVING names the checkout, and without it these tests do not exist. Upstream's
code runs as it is. Ours only gives it what its build would: a place for the server's program, and where the test data is.
"""
