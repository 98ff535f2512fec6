"""What holds for every test."""

import signal

# Started in the background of a shell, the test run would ignore Ctrl-C, and so would every program that a test starts and
# interrupts. A handler here is the default again after exec.
signal.signal(signal.SIGINT, signal.default_int_handler)
