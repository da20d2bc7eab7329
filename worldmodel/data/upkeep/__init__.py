"""What becomes of datasets later: repair.py drops what is damaged, merge.py joins what fits."""
