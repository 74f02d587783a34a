"""Shards out: written aside, named at once, marked last.

publishing  a shard's files and its mark              tars, parquet  one file a shard
folders     labels as names of folders                columns        the columns of parquet files
provenance  pictures as files that say what they are
"""
