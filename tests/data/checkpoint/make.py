"""Makes the files in this folder: what real Python and PyTorch write and our own writers cannot.

Run with Python 3.11 and PyTorch 2.13.0: python make.py. The files are checked in; tests need no Python.
"""
import collections
import pickle
import zipfile

import torch

# Every kind of plain data, in each protocol.
PLAIN = {
    "none": None, "true": True, "false": False,
    "ints": [0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63)],
    "floats": [0.0, -1.5, 1e300, float("inf")],
    "text": ["", "ascii", "\u00e9\u4e2d\U0001f600", "x" * 300],
    "bytes": [b"", b"\x00\xff\x80", b"y" * 300],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "nested": {"a": {"b": [1, [2, [3]]]}},
    5: "an int as a key",
}
SHARED = [1, 2]
PLAIN["shared"] = [SHARED, SHARED]
for protocol in (2, 3, 4, 5):
    with open(f"plain_protocol{protocol}.pkl", "wb") as file:
        pickle.dump(PLAIN, file, protocol=protocol)

# Views, shared storages, every dtype, a parameter, and names of a compiled model.
base = torch.arange(24, dtype=torch.float32)
state = collections.OrderedDict()
state["_orig_mod.matrix"] = base.view(4, 6)
state["_orig_mod.transposed"] = base.view(4, 6).t()
state["_orig_mod.every_other"] = base[1::2]
state["_orig_mod.expanded"] = base[2:3].expand(5)
state["_orig_mod.scalar"] = torch.tensor(2.5, dtype=torch.float64)
state["_orig_mod.empty"] = torch.zeros(0, 3)
state["_orig_mod.parameter"] = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
for dtype in (torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
    state[f"_orig_mod.{str(dtype).removeprefix('torch.')}"] = torch.tensor([1, 2, 3], dtype=dtype)
state["_orig_mod.bool"] = torch.tensor([True, False, True])
torch.save(state, "views.pt")

torch.save({"w": torch.ones(2)}, "legacy.pt", _use_new_zipfile_serialization=False)
torch.save({"w": torch.ones(2, dtype=torch.complex64)}, "complex.pt")
torch.save({"model": {"w": torch.ones(2)}, "step": 3}, "training.pt")
torch.jit.script(torch.nn.Linear(1, 1)).save("script.pt")

# The same records zipped by a common tool: compressed, and stored but not aligned.
torch.save({"w": torch.arange(100.0)}, "plain.pt")
for name, method in (("compressed.pt", zipfile.ZIP_DEFLATED), ("unaligned.pt", zipfile.ZIP_STORED)):
    with zipfile.ZipFile("plain.pt") as source, zipfile.ZipFile(name, "w", method) as target:
        for record in source.namelist():
            target.writestr(record, source.read(record))
