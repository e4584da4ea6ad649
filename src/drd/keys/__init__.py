"""Who may open what: the rings of keys that a process can hold, one file each.

``keyfile``   the embedded default: one file for all roles, or one for each
``recovery``  the recovery sheet: opens everything, signs trust, never on a host
``age``       custodians with age X25519 identities
``opening``   which of these a file given on the command line is
``paper``     the sheet with its QR code, ready to print

``files`` reads and writes secrets, ``slots`` wraps for hybrid keys.
"""
