"""`python -m bot.local.tied COMMAND …`: becomes the command, which ends when the process that started it does.

Where the system can do that (Linux): a manager that is killed with -9 leaves nobody behind.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])
