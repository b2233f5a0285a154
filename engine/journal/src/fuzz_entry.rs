//! What the fuzz targets run, and tests over seeded inputs. Not part of the crate's interface.
