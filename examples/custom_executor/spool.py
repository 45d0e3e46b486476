"""Events as files: an executor that writes them, and what a worker does with them."""

import os
import time
from pathlib import Path
from uuid import uuid4

from invokeasync_wsgi import AWSError, Invocation, run_attempt
from invokeasync_wsgi.retry import RetryAt


class SpoolExecutor:
    """Writes each event into a file of a directory, named after the time when it is due."""

    promise = "everything but the loss of the disk"

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    def start(self, work, clock):
        pass  # attempts run in the worker

    def submit(self, invocation):
        self._put(invocation, due=invocation.accepted_at)  # whatever it raises: no 202, but a 500

    def drain(self, timeout_s):
        pass  # nothing waits in this process

    def close(self):
        pass

    def run_next(self, functions):
        """Run the event that is due, in the worker; say whether there was one."""
        path = min(self.directory.glob("*.json"), default=None)
        if path is None or float(path.name[:20]) > time.time():
            return False
        invocation = Invocation.from_json(path.read_bytes())
        try:
            _, decision = run_attempt(functions, invocation)
        except AWSError as exc:
            print(f"request {invocation.request_id} is dropped: {exc}")  # its function is gone
        else:
            if isinstance(decision, RetryAt):
                self._put(decision.invocation, decision.due)
            else:
                for delivery in decision.deliveries:  # to destinations, events like any other
                    self._put(delivery, delivery.accepted_at)
        path.unlink()  # last: whatever happens before it, the event runs again
        return True

    def _put(self, invocation, due):
        path = self.directory / f"{due:020.6f}-{uuid4()}.json"
        with open(path.with_suffix(".part"), "w") as file:
            file.write(invocation.to_json())
            file.flush()
            os.fsync(file.fileno())
        os.rename(file.name, path)  # whole, or not there
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)  # the name is on the disk, too
        finally:
            os.close(directory)
