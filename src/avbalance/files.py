"""Files that appear whole or not at all, and digests: those of flowkeeper."""

from flowkeeper.files import (
    DISK_ERRORS,
    atomic_path,
    canonical_json,
    check_writable,
    digest_json,
    exclusive,
    read_json,
    sha256_file,
    write_json,
)

__all__ = [
    "DISK_ERRORS",
    "atomic_path",
    "canonical_json",
    "check_writable",
    "digest_json",
    "exclusive",
    "read_json",
    "sha256_file",
    "write_json",
]
