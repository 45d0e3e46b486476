"""The files beside this one are checked by mypy and never run.

Each holds calls that must type, with the types they must have, and calls that must not: their
``type: ignore`` comments are the assertion, because an unused one is an error.
"""

collect_ignore_glob = ["*.py"]
