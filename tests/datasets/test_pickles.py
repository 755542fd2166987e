import builtins
import collections
import contextlib
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fake_datasets
from fiducial.datasets import open_dataset, pickle_machine, pickles
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


@settings(max_examples=60, deadline=None)
@given(value=VALUES, protocol=st.integers(0, 5))
def test_plain_values_come_back_as_the_standard_reader_gives_them(tmp_path_factory, value, protocol):
    data = pickle.dumps(value, protocol=protocol)
    found = load(tmp_path_factory.mktemp("p"), data)
    assert found == pickle.loads(data)  # noqa: S301
    assert type(found) is type(value)


@settings(max_examples=150, deadline=None)
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
    "name that is no text": (b"\x80\x04K\x01K\x02\x93.", "no text"),
    "encode by another codec": (pickle.dumps(Calls(__import__("codecs").encode, "x", "rot13")), "other than Latin-1"),
    "encode of what is not Latin-1": (b"c_codecs\nencode\n(V\\u0416\nS'latin1'\ntR.", "not Latin-1"),
    "object dtype": (b"cnumpy\ndtype\n(S'O8'\ntR.", "no plain number"),
    "scalar of no type": (b"cnumpy.core.multiarray\nscalar\n(I1\nS'a'\ntR.", "NumPy number that is none"),
    "scalar too short": (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i8'\ntRS'a'\ntR.",
        "wrong length",
    ),
    "bytes of a number": (b"cbuiltins\nbytes\n(I1000000000\ntR.", "bytes that are made of something"),
    "set of a number": (b"cbuiltins\nset\n(I1\ntR.", "not made of a list"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_by_name_and_nothing_runs(tmp_path, name, capfd):
    data, message = ATTACKS[name]
    with pytest.raises(InputError, match=f"refused at byte .*{message}") as caught:
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
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "2,147,483,647 bytes are announced"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**63) + b"a.", "are announced"),
        (b"L" + b"9" * 100_000 + b"L\n.", "a number of 100,001 digits|a number of 100,000 digits"),
        (b"\x8a\xff" + b"\x7f" * 255 + b".", "a number of 255 bytes"),
        (b"(" * 100_000 + b".", "empty stack"),
        (b"]" * 50 + b"a" * 49 + b".", "nested more than 16 deep"),
        (b")" + b"\x85" * 100_000 + b".", "nested more than 16 deep"),
        (b"]q\x00h\x00a.", "nested more than 16 deep"),
        (b"K\x01" + b"q\x00h\x00\x86" * 200 + b".", "nested more than 16 deep"),
        (b"}K\x01\x85K\x02s.", "key or member of a set that is a tuple"),
        (b"\x80\x06.", "protocol 6"),
        (b"\x80\x02]", "breaks off before its end"),
        (b"S'abc", "breaks off inside a line"),
        (b"h\x05.", "recalls number 5"),
        (b"gx\n.", "no number"),
        (b"q\x00.", "remembers an empty stack"),
        (b"e.", "mark that is not there"),
        (b"0.", "empty stack"),
        (b"K\x01K\x02a.", "adds to something that is no list"),
        (b"}(K\x01u.", "key without a value"),
        (b"Iabc\n.", "whole number that is none"),
        (b"Fabc\n.", "number that is none"),
        (b"Sabc\n.", "text without quotes"),
        (b"S'\\x4'\n.", "broken escape"),
        (b"X\x01\x00\x00\x00\xff.", "not utf-8"),
    ],
)
def test_broken_and_greedy_pickles(tmp_path, data, message):
    if message is None:
        assert load(tmp_path, data) is None
        return
    with pytest.raises(InputError, match=message):
        load(tmp_path, data)


def test_rare_operations(tmp_path):
    data = b"((K\x01K\x021(NK\x050l]q\x01r\x02\x00\x00\x00p3\ng3\n0j\x02\x00\x00\x00t."
    assert load(tmp_path, data) == ([None], [], [])


def test_limits_of_size_and_length(tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_machine, "MAX_OPERATIONS", 5)
    with pytest.raises(InputError, match=r"more than 5 operations"):
        load(tmp_path, pickle.dumps([[], [], [], []]))
    monkeypatch.setattr(pickles, "MAX_BYTES", 10)
    with pytest.raises(InputError, match=r"more than 0 MiB"):
        load(tmp_path, pickle.dumps("a" * 100))
    with pytest.raises(InputError, match=r"cannot be read"):
        load_plain(tmp_path / "nowhere.p")
