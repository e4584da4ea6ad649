"""drd: backup and disaster recovery for clouds that run on Ceph.

The map of the house, and the order in which to read it:

``errors``     one error tree: whose fault, what to do next, which exit code
``model``      the nouns, frozen: lineage, point, extent, item, snapshot
``ports``      the sockets, each with its contract: Store, Source, Target, KeyRing, Lease
``core``       pure: bytes and values in, bytes and values out (format, map, digests, retention)
``ceph``       how a Ceph cluster is reached; Ceph's own modules in their cage
``pipeline``   bounded queues and threads around the core; decides nothing
``sources``    how an RBD image or a block device is read, and put back
``stores``     where objects lie: S3, a local directory; retries and metering stacked around them
``keys``       who may open what: key file, recovery sheet, age recipients
``catalogue``  a local cache of what the bucket holds
``leases``     one run for one lineage at a time
``config``     one TOML file, strict
``work``       one verb, one file, one story: backup, restore, verify, ...
``wiring``     the only room that names concrete adapters
``cli``        what an operator types
``daemon``     what runs for years

Imports only go down this list; ``make check`` sees to it.
"""

__version__ = "0.1.0.dev0"
