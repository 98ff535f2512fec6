"""The tails of two distributions, in closed form: how probable a statistic so large is when nothing has changed."""

import math


def chi_square_tail(statistic: float, degrees: int) -> float:
    """The probability that a chi-square variable with ``degrees`` >= 1 degrees of freedom is larger than ``statistic`` >= 0.

    The sums are those of Abramowitz and Stegun, 26.4.4 and 26.4.5.
    """
    half = statistic / 2
    if degrees % 2 == 0:
        return _poisson(half, degrees // 2, 0.0)
    return math.erfc(math.sqrt(half)) + _poisson(half, degrees // 2, 0.5)


def _poisson(half: float, terms: int, offset: float) -> float:
    """The sum of exp(-half) * half^(i + offset) / Gamma(i + offset + 1) for i below ``terms``."""
    if half == 0:
        return 1.0 if terms and offset == 0 else 0.0
    logs = ((i + offset) * math.log(half) - half - math.lgamma(i + offset + 1) for i in range(terms))
    return math.fsum(map(math.exp, logs))


def kolmogorov_tail(scaled: float) -> float:
    """The probability that Kolmogorov's statistic, times the root of the size, is larger than ``scaled``, for large samples."""
    if scaled < 0.2:  # the series converges slowly there, and the tail is 1 to twelve digits
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(max(2 * math.fsum(terms), 0.0), 1.0)
