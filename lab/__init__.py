"""Real servers for tests, benchmarks and trying out: Ceph with RGW, and MinIO, in one folder.

Everything runs as ordinary processes on free loopback ports, without containers and without root.
Only Python's standard library is used, so any interpreter can start a lab.

    python -m lab up DIR [--rgw]     start, and print what to export; does nothing twice
    python -m lab env DIR            print it again
    python -m lab down DIR           stop by process id; --delete removes the folder too
    python -m lab install            install or build the servers that are missing

Reading order: `folder` (what a lab is made of), `server` (one process), `ceph`, `rgw`, `minio`,
`s3` (just enough of a client to make buckets), `install`; `debian` and `machine` (a whole system that
boots, to install packages on; these two need root).
"""
