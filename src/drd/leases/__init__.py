"""One run for one lineage at a time. ``local`` holds for one host; others come with several hosts."""
