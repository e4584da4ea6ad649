"""Where images come from, and where restores put them: Ceph RBD, files, block devices, pipes.

Reading order: ``labels``, ``ranges`` and ``windowed`` serve all of them. ``rbd`` is the source for
Ceph, and tells its steps; below it ``rbd_images`` (discovery, identity), ``rbd_snapshots``,
``rbd_trust`` (how far librbd's diff can be believed), ``rbd_diff``, ``rbd_reading`` and ``rbd_facts``;
``drd.ceph`` has the connection and keeps Ceph's modules in their cage. ``device`` is the source for
files and block devices. ``targets`` reads what an operator writes after ``--to``; ``rbd_target``,
``file_target``, ``device_target`` and ``pipe_target`` are what it can mean.

A source reads and puts back; it knows no store, no key, no schedule.
"""
