"""Other systems on a cluster: Dask, joblib. Each is imported only where it is used."""
