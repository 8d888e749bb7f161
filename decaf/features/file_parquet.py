r"""Features in Apache Parquet, for pandas, polars, DuckDB and their like; needs pyarrow.

==========  ============================================================================
column      values
==========  ============================================================================
``path``    string: the photo of the row
``label``   string
``<layer>`` fixed_size_list<float32, D>
==========  ============================================================================

The file's metadata have a key ``decaf``, with JSON: ``format``, ``format_version``, ``info``, and
``failed``, a list of path and reason.  Pages carry checksums.  Paths must be Unicode here; what
is not is written as an escape, ``\udcff``.

The same features give the same bytes, with the same version of pyarrow.  Unlike the other
formats, this one is read by the library that defined it: read only files that you trust.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from decaf.errors import FeaturesError
from decaf.features.blocks import named, regroup
from decaf.features.contents import Array, Features
from decaf.features.file_h5 import FORMAT, FORMAT_VERSION
from decaf.features.texts import as_unicode, check_layers, from_json, to_json

KEY = b"decaf"
ROW_GROUP = 2**25  # bytes of features
LARGEST_METADATA = 2**26  # bytes of JSON; a library reads at most 100 million


def need_pyarrow() -> Any:
    """Return pyarrow; FeaturesError where it is missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise FeaturesError(
            f"Parquet must have pyarrow installed (pip install pyarrow); got {str(error)[:200]}"
        ) from error
    return pyarrow


def write(stream: BinaryIO, features: Features) -> None:
    """Write a file, a row group of about 32 MiB in memory at a time.

    Parameters
    ----------
    stream : BinaryIO
        Open for writing, at its start.
    features : Features
        What to write.

    Raises
    ------
    FeaturesError
        If pyarrow is missing, or names or rows do not fit; whatever reading `features` raises.
    OSError
        If it cannot be written.
    """
    pa = need_pyarrow()
    check_layers(features.layers)
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "info": features.info,
        "failed": [list(pair) for pair in features.failed],
    }
    for name, texts in (("paths", features.paths), ("labels", features.labels)):
        if len(texts) != len(features):
            raise FeaturesError(f"{name} must be {len(features):,}; got {len(texts):,}")
    schema = pa.schema(
        [
            ("path", pa.string()),
            ("label", pa.string()),
            *((layer, pa.list_(pa.float32(), width)) for layer, width in features.layers.items()),
        ],
        metadata={KEY: to_json("info and failed photos", metadata, LARGEST_METADATA)},
    )
    rows = max(1, ROW_GROUP // (4 * sum(features.layers.values())))
    with pa.parquet.ParquetWriter(
        stream, schema, compression="none", use_dictionary=["label"], write_statistics=False,
        write_page_checksum=True,
    ) as writer:  # fmt: skip
        groups = zip(*(regroup(features, layer, rows) for layer in features.layers), strict=True)
        for start, blocks in zip(itertools.count(0, rows), groups):
            columns = [
                pa.array([as_unicode(text) for text in texts[start : start + rows]], pa.string())
                for texts in (features.paths, features.labels)
            ]
            for block in blocks:
                values = pa.array(block.reshape(-1))
                columns.append(pa.FixedSizeListArray.from_arrays(values, block.shape[1]))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), rows)


def read(path: str) -> Features:
    """Read all of a file but the rows, which are read and checked when they are asked for.

    Raises
    ------
    FeaturesError
        If pyarrow is missing, it is another file, or damaged; the message starts with the path.
    """
    pa = need_pyarrow()
    with _wrapped(path, pa), _open(path, pa) as file:
        schema = file.schema_arrow
        found = (schema.metadata or {}).get(KEY)
        if found is None:
            raise FeaturesError("the file must have metadata of decaf; got some other Parquet file")
        metadata = from_json("the metadata of decaf", found, LARGEST_METADATA)
        if (metadata.get("format"), metadata.get("format_version")) != (FORMAT, FORMAT_VERSION):
            raise FeaturesError(f"the file must be {FORMAT} of version {FORMAT_VERSION}")
        info, failed = metadata.get("info"), metadata.get("failed")
        if not isinstance(info, dict) or not isinstance(failed, list) or not _are_pairs(failed):
            raise FeaturesError("the metadata must have info and failed photos; got others")
        if schema.names[:2] != ["path", "label"]:
            raise FeaturesError(f"columns must start with path and label; got {schema.names[:2]}")
        layers = {}
        for field in list(schema)[2:]:
            if not pa.types.is_fixed_size_list(field.type) or field.type.value_type != pa.float32():
                raise FeaturesError(f"{field.name}: must be lists of float32; got {field.type}")
            layers[field.name] = field.type.list_size
        check_layers(layers)
        table = file.read(columns=["path", "label"])
        texts = [table.column(name).to_pylist() for name in ("path", "label")]
        if not all(isinstance(text, str) for column in texts for text in column):
            raise FeaturesError("path and label must be strings; got others")

    def rows(layer: str) -> Iterator[Array]:
        size = max(1, 2**20 // (4 * layers[layer]))
        count = 0
        with _wrapped(f"{path}: {layer}", pa), _open(path, pa) as file:
            for batch in file.iter_batches(size, columns=[layer]):
                column = batch.column(layer)
                values = column.flatten()
                if column.null_count or values.null_count:
                    raise FeaturesError("features must be numbers; got nulls")
                block = values.to_numpy(zero_copy_only=False).reshape(-1, layers[layer])
                count += len(block)
                yield np.ascontiguousarray(block, np.float32)
            if count != len(texts[0]):
                raise FeaturesError(f"rows must be {len(texts[0]):,}; got {count:,}")

    pairs = [(path, reason) for path, reason in failed]
    return Features(layers, texts[0], texts[1], pairs, info, rows)


def _are_pairs(values: list[Any]) -> bool:
    return all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        for pair in values
    )


def _open(path: str, pa: Any) -> Any:
    return pa.parquet.ParquetFile(
        path,
        page_checksum_verification=True,
        pre_buffer=False,  # else all of a column ends up in memory
        buffer_size=2**20,
    )


@contextmanager
def _wrapped(name: str, pa: Any) -> Iterator[None]:
    with named(name):
        try:
            yield
        except (pa.ArrowException, ValueError, TypeError, LookupError) as error:
            raise FeaturesError(f"the file must be intact Parquet; got {error}") from error
