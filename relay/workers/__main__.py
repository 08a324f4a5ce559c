"""`python -m relay.workers ASSIGNMENT`: a worker process, as `relay.workers.process` starts it."""

import sys

from relay.interpreter import loading

with loading():
    from relay.workers.worker import main

if __name__ == "__main__":
    main(sys.argv[1:])
