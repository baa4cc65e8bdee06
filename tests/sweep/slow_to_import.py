"""A module whose import takes a second and 300 MiB."""

import os
import time

time.sleep(1.0)
kept = bytearray(os.urandom(2**20)) * 300
