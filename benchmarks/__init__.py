"""What this package costs, beside the least that could be done in its place.

``python -m benchmarks`` runs all of them; ``--help`` tells the names and options. Each measures
two things in the same run, the *floor* and *ours*, round by round and in turns, the order swapped
each round. What is reported is the median of what the rounds say each by themselves (ours minus
the floor, or ours over the floor), with the lowest and the highest round. CPU time is what counts:
it is the process's own account of itself, so it stands a busy machine far better than requests per
second, which are there to be looked at. Nothing here passes or fails: "target met" is a column.

``pass-through``
    A request that is none of ours: the bare application, and the same one wrapped. *Not shown:*
    what a server does around it, next to which both vanish.

``accepted``
    An event of 200 bytes: an application that reads the body and answers 202, and ours with
    ``threads:`` and a handler that does nothing. All threads count, and every event has run to its
    end before a round ends. "At once" hands in events as fast as they are taken, so workers are
    awake; "spaced" leaves 50 µs between them, so each wakes a thread, as on a server with little to
    do. *Not shown:* a server; handlers that do something, whose time competes for the same
    interpreter lock; the wait of one event for another.

``signed``
    The event of ``accepted`` signed as boto3 signs it: to a service that verifies signatures and
    asks its policies (there are none, so the default), and to one with ``auth="none"``; both drop
    the event. Then the verification alone, over botocore making and signing the same request. The
    request is the same each time, so the day's signing key is kept, and so are the parts that a
    client's requests of a day share. *Not shown:* the first request of a key and a day, which takes
    five HMACs more; refusals, which take them each; larger bodies, of which every byte is hashed;
    policies with conditions; the client's work.

``sockets`` (Linux)
    The same two under gunicorn's ``gthread`` with one worker and kept connections; events of
    200 bytes, and of 100 KB with 160 objects (texts) and 1650 (records). What counts is the CPU
    time of the worker process from ``/proc``; the client is another process. "Accepted and run" is
    the whole, which builds the event for the handler and calls it; "accepted" ends with the answer:
    its executor takes the event and drops it; "signed and accepted" is the same for signed
    requests, whose longer head the floor gets, too. *Not shown:* new connections, TLS, a network;
    other servers, most of which cost less than gunicorn, so that the same added time is a larger
    share; latency; handlers that do something.

``import`` (Unix)
    ``import invokeasync_wsgi`` over ``import werkzeug``, each less what the interpreter itself
    takes, user and system time. *Not shown:* the first import of all, which compiles and reads from
    the disk; an application that has imported Werkzeug or json anyway.

``json``
    `payload.check` over `json.loads`, with and without msgspec, for long texts, for records as
    services send them, and for as many small objects as fit. *Not shown:* refused payloads, which
    are looked at twice; texts that are not ASCII, which are decoded as well.

``durable-accept``, ``-commit``, ``-cpu``, ``-drain``, ``-depth``, ``-idle``, ``-pick-up``
    The executor whose events are in a file; ``durable`` is all of them. They are about rates,
    latencies, memory and the CPU time of idle processes, so each tells by itself what it was made
    of and, below the table, what it does not show. Rates depend on the disk that ``TMPDIR`` is on
    and on whoever else uses it, even as ratios of turns a second apart: look at the extremes.

``durable --events 10000000``
    So many events through one file, and a line for every tenth: whether anything slows down or
    grows. Takes about two minutes for a million; never run by itself.
"""
