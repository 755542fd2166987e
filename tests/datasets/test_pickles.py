import builtins
import collections
import contextlib
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fake_datasets
from fiducial.datasets import open_dataset, pickles
from fiducial.datasets.pickles import load_plain
from fiducial.errors import InputError

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.binary()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(st.integers() | st.text(max_size=3), max_size=3)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=12,
)


def load(tmp_path, data):
    path = tmp_path / "refs(unc).p"
    path.write_bytes(data)
    return load_plain(path)


@given(value=VALUES, protocol=st.integers(0, 5))
def test_plain_values_come_back_as_the_standard_reader_gives_them(tmp_path_factory, value, protocol):
    data = pickle.dumps(value, protocol=protocol)
    found = load(tmp_path_factory.mktemp("p"), data)
    assert found == pickle.loads(data)  # noqa: S301
    assert type(found) is type(value)


@given(data=st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_refusal(tmp_path_factory, data):
    # Anything else that is raised fails the test.
    with contextlib.suppress(InputError):
        load(tmp_path_factory.mktemp("p"), b"\x80\x02" + data + b".")


@pytest.mark.parametrize("protocol", range(6))
def test_references_of_every_protocol(tmp_path, protocol):
    root = fake_datasets.refer(tmp_path, protocol=protocol)
    assert next(iter(open_dataset(root))).instruction == "the ship"


def test_numpy_numbers_become_python_numbers(tmp_path):
    value = [np.int64(-7), np.float32(0.5), np.bool_(True), np.uint8(200)]
    for protocol in (0, 2, 4):
        found = load(tmp_path, pickle.dumps(value, protocol=protocol))
        assert found == [-7, 0.5, True, 200]
        assert [type(one) for one in found] == [int, float, bool, int]


def test_texts_of_python_2(tmp_path):
    assert load(tmp_path, b"(dp0\nS'ship \\xe9'\np1\nI7\nsS'n'\nL7L\nsS'f'\nF1.5\ns.") == {
        "ship é": 7,
        "n": 7,
        "f": 1.5,
    }
    assert load(tmp_path, b"\x80\x02]q\x00(U\x02ab\x54\x01\x00\x00\x00\xe9I01\nI00\ne.") == ["ab", "é", True, False]


class Calls:
    def __init__(self, function, *arguments):
        self.made = (function, arguments)

    def __reduce__(self):
        return self.made


def attack_by_name(module, name, argument="echo harmed"):
    return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()


ATTACKS = {
    "os.system": (pickle.dumps(Calls(os.system, "echo harmed")), f"{os.system.__module__}.system"),
    "eval": (pickle.dumps(Calls(eval, "1+1"), protocol=0), r"(builtins|__builtin__)\.eval"),
    "exec": (pickle.dumps(Calls(exec, "x=1"), protocol=4), r"builtins\.exec"),
    "getattr": (pickle.dumps([Calls(getattr, "", "join")]), r"builtins\.getattr"),
    "import": (pickle.dumps(Calls(builtins.__import__, "os")), r"builtins\.__import__"),
    "subprocess": (attack_by_name("subprocess", "Popen"), r"subprocess\.Popen"),
    "copyreg": (attack_by_name("copyreg", "_reconstructor"), r"copyreg\._reconstructor"),
    "extension": (attack_by_name("copyreg", "add_extension"), r"copyreg\.add_extension"),
    "dotted": (b"\x80\x04\x8c\x08builtins\x8c\x0cset.__init__\x93.", r"builtins\.set\.__init__"),
    "ordered": (pickle.dumps(collections.OrderedDict(a=1)), r"collections\.OrderedDict"),
    "array": (pickle.dumps(np.arange(3)), r"numpy.*_?reconstruct"),
    "instance": (b"(S'echo'\nios\nsystem\n.", r"os\.system"),
    "hidden in a dictionary": (pickle.dumps([{"ref_id": 1, "x": Calls(os.popen, "id")}]), r"os\.popen"),
    "extension code": (b"\x80\x02\x82\x01.", r"operation '\\x82'"),
    "persistent id": (b"Pfile\n.", "operation 'P'"),
    "new object": (b"\x80\x02c__builtin__\nset\n)\x81.", r"operation '\\x81'"),
    "state of a global": (b"cbuiltins\nset\n}S'x'\nI1\nsb.", "changes the state"),
    "state of a dictionary": (b"}}b.", "changes the state"),
    "call of a text": (b"S'os.system'\n(S'id'\ntR.", "no known global"),
    "a global as value": (b"cbuiltins\nset\n.", "no plain value"),
    "a global in a list": (b"]cbuiltins\nset\na.", "no plain value"),
    "name that is no text": (b"\x80\x04K\x01K\x02\x93.", "str"),
    "encode by another codec": (pickle.dumps(Calls(__import__("codecs").encode, "x", "rot13")), "other than Latin-1"),
    "encode of what is not Latin-1": (b"c_codecs\nencode\n(V\\u0416\nS'latin1'\ntR.", "latin-1"),
    "object dtype": (b"cnumpy\ndtype\n(S'O8'\ntR.", "no plain number"),
    "scalar of no type": (b"cnumpy.core.multiarray\nscalar\n(I1\nS'a'\ntR.", "NumPy number that is none"),
    "scalar too short": (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i8'\ntRS'a'\ntR.",
        "8 bytes",
    ),
    "bytes of a number": (b"cbuiltins\nbytes\n(I1000000000\ntR.", "bytes that are made of something"),
    "set of a number": (b"cbuiltins\nset\n(I1\ntR.", "is given a int"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_by_name_and_nothing_runs(tmp_path, name, capfd):
    data, message = ATTACKS[name]
    with pytest.raises(InputError, match=f"(refused|broken).*{message}") as caught:
        load(tmp_path, data)
    assert "refs(unc).p" in str(caught.value)
    assert capfd.readouterr().out == ""


def test_an_attack_is_refused_when_a_dataset_is_opened(tmp_path):
    root = fake_datasets.refer(tmp_path, references=[Calls(os.system, f"touch {tmp_path / 'harmed'}")])
    with pytest.raises(InputError, match=r"system, and only plain values are read"):
        open_dataset(root)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02Nr\xff\xff\xff\x7fN.", None),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "cut off"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**63) + b"a.", "BINBYTES8"),
        (b"L" + b"9" * 100_000 + b"L\n.", "4300 digits"),
        (b"\x8a\xff" + b"\x7f" * 255 + b".", "a number of more than 256 bits"),
        (b"(" * 10_000 + b".", "cut off"),
        (b"]" * 50 + b"a" * 49 + b".", "nested more than 16 deep"),
        (b")" + b"\x85" * 100_000 + b".", "nested more than 16 deep"),
        (b"]q\x00h\x00a.", "nested more than 16 deep"),
        (b"K\x01" + b"q\x00h\x00\x86" * 200 + b".", "nested more than 16 deep"),
        (b"}K\x01\x85K\x02s.", "key or member of a set that is a tuple"),
        (b"\x80\x06.", "protocol: 6"),
        (b"\x80\x02]", "cut off"),
        (b"S'abc", "quoted"),
        (b"h\x05.", "index 5"),
        (b"gx\n.", "int"),
        (b"q\x00.", "broken"),
        (b"e.", "broken"),
        (b"0.", "broken"),
        (b"K\x01K\x02a.", "append"),
        (b"}(K\x01u.", "broken"),
        (b"Iabc\n.", "int"),
        (b"Fabc\n.", "float"),
        (b"Sabc\n.", "quoted"),
        (b"S'\\x4'\n.", "escape"),
        (b"X\x01\x00\x00\x00\xff.", "utf-8"),
    ],
)
def test_broken_and_greedy_pickles(tmp_path, data, message):
    if message is None:
        assert load(tmp_path, data) is None
        return
    with pytest.raises(InputError, match=message):
        load(tmp_path, data)


def bomb(made, module, name, *rest, times=30_000):
    """Call a global many times with something that was made once."""
    return made + b"q\x00" + b"]q\x01(" + f"c{module}\n{name}\n(h\x00{''.join(rest)}tR".encode() * times + b"e."


LONG = b"](" + b"K\x01" * 30_000 + b"e"
DEEP = b"K\x01" + b"\x85" * 20_000
WIDE = b"K\x01" + b"q\x00h\x00\x86" * 200


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bomb(LONG, "builtins", "set"), "copy more than the file holds"),
        (bomb(LONG, "__builtin__", "frozenset"), "copy more than the file holds"),
        (bomb(b"X" + struct.pack("<I", 50_000) + b"a" * 50_000, "_codecs", "encode", "Vlatin1\n"), "copy more than"),
        (bomb(b"X" + struct.pack("<I", 50_000) + b"a" * 50_000, "numpy.core.multiarray", "scalar"), "that is none"),
        (b"]q\x00" + (b"](" + b"h\x00" * 50 + b"eq\x00") * 12 + b".", "unfolds to"),
        *((b"}" + key + b"K\x02s.", "a key or member of a set that is a tuple") for key in (DEEP, WIDE)),
        *((b"}(" + key + b"K\x02u.", "a key or member of a set that is a tuple") for key in (DEEP, WIDE)),
        *((b"(" + key + b"K\x02d.", "a key or member of a set that is a tuple") for key in (DEEP, WIDE)),
        *((b"\x8f(" + key + b"\x90.", "a key or member of a set that is a tuple") for key in (DEEP, WIDE)),
        *((b"(" + key + b"\x91.", "a key or member of a set that is a tuple") for key in (DEEP, WIDE)),
        (b"cbuiltins\nset\n((" + WIDE + b"ltR.", "a key or member of a set that is a tuple"),
        *((b"](" + sign * 30_000 + b"e.", "than the file can fill") for sign in (b"\x8f", b"}", b"]", b"(", b"](")),
    ],
)
def test_bombs_are_refused_at_once(tmp_path, data, message):
    tracemalloc.start()
    with pytest.raises(InputError, match=message):
        load(tmp_path, data)
    assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    tracemalloc.stop()


def test_rare_operations(tmp_path):
    data = b"((K\x01K\x021(NK\x050l]q\x01r\x02\x00\x00\x00p3\ng3\n0j\x02\x00\x00\x00t."
    assert load(tmp_path, data) == ([None], [], [])


def test_limits_of_size_and_length(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_OPERATIONS", 5)
    with pytest.raises(InputError, match=r"more than 5 operations"):
        load(tmp_path, pickle.dumps([[], [], [], []]))
    monkeypatch.setattr(pickles, "MAX_BYTES", 10)
    with pytest.raises(InputError, match=r"more than 0 MiB"):
        load(tmp_path, pickle.dumps("a" * 100))
    with pytest.raises(InputError, match=r"cannot be read"):
        load_plain(tmp_path / "nowhere.p")
