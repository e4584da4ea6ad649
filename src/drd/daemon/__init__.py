"""The second door: the process that runs for years, and the processes that work for it.

``__main__``   what is typed: ``drd``, ``drd check-config``, ``drd worker``
``loop``       the one thread that decides; everything else puts events into its queue
``board``      what the loop knows: images, newest points, runs, pauses
``happenings`` the events of that queue
``nursery``    worker processes: started beforehand, one run each, watched
``worker``     the other end: one job, then the end
``control``    the socket that ``drctl run`` asks
``notify``     what systemd is told
``log``        the log, and the list of everything that it can say
``metrics``    what Prometheus is told

The plan stands in ``docs/daemon.md``.
"""
