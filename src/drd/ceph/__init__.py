"""How a Ceph cluster is reached: what reads images and what keeps leases there share this.

``bindings``   Ceph's own Python modules, from the host, imported when first needed
``errors``     what librados and librbd say, in drd's words
``bounded``    calls into C code that may never come back
``cluster``    one connection, with every wait bounded
"""
