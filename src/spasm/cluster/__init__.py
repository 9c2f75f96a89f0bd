"""Compute in processes of other machines, by Dask."""
