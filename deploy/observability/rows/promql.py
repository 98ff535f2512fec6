"""Queries in PromQL that several panels are made of, with rates over ``$window``."""


def quantile(share: float, metric: str, by: str = "") -> str:
    """The value of a histogram that a ``share`` of its events do not exceed; with ``by``, one for each of these labels."""
    # With a model: what was asked of none that is known has an empty label.
    known = '{model!=""}' if by else ""
    buckets = f"sum by (le{by and ', ' + by}) (rate({metric}_bucket{known}[$window]))"
    return f"histogram_quantile({share}, {buckets})"


def mean(metric: str, by: str) -> str:
    """The mean of a histogram, for each of the labels ``by``; there is none while nothing happens."""
    return f"sum by ({by}) (rate({metric}_sum[$window])) / (sum by ({by}) (rate({metric}_count[$window])) > 0)"
