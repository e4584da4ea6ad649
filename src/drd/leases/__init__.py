"""One run for one lineage at a time.

``local``      among the processes of one host: flock
``rados``      among the nodes of one cluster: a lock of the OSD that runs out, and is renewed
``cls_lock``   what the OSD's lock class is asked, byte by byte
"""
