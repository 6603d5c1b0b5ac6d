//! Where files are cut: restic's content-defined chunker.
