"""Episodes into a dataset: writer.py closes shards, assemble.py makes a dataset of them."""
