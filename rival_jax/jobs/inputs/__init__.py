"""Datasets in: what there is, and one picture of it.

listing    which kind of dataset, and its samples      loading    a sample's picture, decoded
files      paths and URLs                              buckets    the size at which it is varied
tables     metadata and manifests                      captions   what it shows, where nobody has said it
tars       WebDataset
parquet    tables of image bytes
described  labels and captions of columns and keys
"""
