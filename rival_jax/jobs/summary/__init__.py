"""What finished shards come to: metadata, statistics (`scores`) and a dataset card (`card`), written by `finalize`."""
