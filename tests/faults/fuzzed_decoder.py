"""The decoder as plain Python under atheris: `python -m tests.faults.fuzzed_decoder PIPE FLAG…`, by `fuzz_decoder`.

Every input is told to PIPE, the number of an open file. Flags are libFuzzer's.
"""

from __future__ import annotations

import os
import pickle
import sys


def main() -> None:
    """Fuzz until the time is over, or something is wrong."""
    import atheris
    import numpy as np

    with atheris.instrument_imports(include=["schemas"], enable_loader_override=False):
        import schemas.events

        # Compiled code reads a record's fields as attributes; of plain arrays only these have them.
        schemas.events.ROW = np.dtype((np.record, schemas.events.ROW))
        import schemas.avro.codec
        import schemas.validation
        from tests.faults.fuzz_decoder import check, decoder

    schemas.avro.codec.fill_hashes = lambda rows, data: None  # slow in plain Python, and no outcome depends on them
    is_utf8 = schemas.validation.is_utf8  # of bytes, not of an array: only numbers of Python guide the fuzzer
    schemas.validation.is_utf8 = lambda data, start, stop: is_utf8(data[start:stop].tobytes(), 0, stop - start)
    codec, pipe = decoder(), int(sys.argv[1])

    def try_one(payload: bytes) -> None:
        os.write(pipe, pickle.dumps(payload))
        try:
            check(codec, [payload])
        except Exception:  # any of them is what is looked for; it is told with its input
            print(f"plain, of {payload.hex()}:", file=sys.stderr)
            raise

    atheris.Setup([sys.argv[0], *sys.argv[2:]], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
