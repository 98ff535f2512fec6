"""Without a checkout there is nothing to collect."""

import os

collect_ignore_glob = [] if os.environ.get("UPSTREAM_SERVING") else ["test_*.py"]
