"""Whether two exported tables differ in the distributions of their columns. It needs NumPy; Parquet needs pyarrow, too."""
