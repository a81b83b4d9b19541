import json
import os

import pytest

from gdjax import (
    Choice,
    Integer,
    InvalidType,
    InvalidValue,
    LogUniform,
    MissingExtra,
    Space,
    Uniform,
    load_space,
)
from gdjax.sweep import spacefile

DIMENSIONS = {
    "learning_rate": LogUniform(1e-4, 1.0, points=16),
    "weight_decay": Choice((0.0, 1e-4, 1e-2)),
    "momentum": Uniform(0.0, 0.99),
    "layers": Integer(1, 4),
    "loss.dropout": Choice((0.0, 0.5)),
    "b2": Choice((0.999,)),
    "first": Choice((1,)),
}
YAML = """\
learning_rate: {log: [1e-4, 1.0], points: 16}
weight_decay: &decays [0.0, 1.0e-4, +1E-2]
momentum:
  uniform: [0, .99]
layers: {integer: [1, 4]}
loss.dropout: [0, 0.5]
b2: 0.999  # a fixed number
first: 1
try first:
  - {learning_rate: 1e-3, layers: 2}
  - weight_decay: 1.0e-4
"""
JSON = json.dumps(
    {
        "learning_rate": {"log": [1e-4, 1], "points": 16},
        "weight_decay": [0, 1e-4, 1e-2],
        "momentum": {"uniform": [0, 0.99]},
        "layers": {"integer": [1, 4]},
        "loss.dropout": [0, 0.5],
        "b2": 0.999,
        "first": 1,
        "try first": [{"learning_rate": 0.001, "layers": 2}, {"weight_decay": 1e-4}],
    },
    indent="\t",
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("space.yaml", YAML),
        ("space.JSON", JSON),
        ("bom.yml", "\ufeff" + YAML),
        ("bom.json", "\ufeff" + JSON),
    ],
)
def test_a_file_says_what_the_code_says(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    space = load_space(tmp_path / name)
    assert space.dimensions == DIMENSIONS
    assert space.first == ({"learning_rate": 1e-3, "layers": 2}, {"weight_decay": 1e-4})
    assert load_space(str(tmp_path / name)).first == space.first


def test_the_content_of_a_space_makes_it_again():
    space = Space(DIMENSIONS, [{"learning_rate": 1 / 3}])
    text = json.dumps(spacefile.content(space))
    again = spacefile.parse(text, "config.json", as_json=True)
    assert (again.dimensions, again.first) == (space.dimensions, space.first)
    assert [type(value) for value in again.dimensions["first"].values] == [int]


def test_anchors_stand_for_what_they_name():
    space = spacefile.parse("a: &x [1, 2]\nb: *x\nc: {uniform: *x}", "space.yaml")
    assert space.dimensions == {"a": Choice((1, 2)), "b": Choice((1, 2)), "c": Uniform(1, 2)}


WRONG = {
    "": "space.yaml: is empty",
    "# a comment": "space.yaml: is empty",
    "{}": "line 1, column 1: the space is empty",
    "loss..dropout: 1": "line 1, column 1: 'loss..dropout' is no name of a hyperparameter",
    "- 1": "line 1, column 1: expected a mapping of hyperparameter names, got a list",
    "a: 1\nb: {lgo: [1, 2]}": "line 2, column 5: no kind of distribution 'lgo'; did you mean log",
    "a: {log: [1]}": "line 1, column 10: log takes two bounds [low, high], got 1 numbers",
    "a: {log: [1, 2, 3]}": "got 3 numbers; the size of a grid is written {..., points: 16}",
    "a: {log: 1}": "line 1, column 10: expected two bounds [low, high], got '1'",
    "a: {log: [2, 1]}": "line 1, column 10: LogUniform needs low < high",
    "a: {log: [1, 2], points: 0}": "line 1, column 26: points must be a whole number",
    "a: {log: [1, 2], uniform: [1, 2]}": "expected one kind of log, uniform, integer, got log and",
    "a: {points: 3}": "expected one kind of log, uniform, integer, got none",
    "a: {integer: [1, 2], points: 3}": "line 1, column 30: integer takes no points",
    "a: {integer: [1, 2.5]}": "Integer needs whole numbers",
    "a: 1\nb: 2\na: 3": "line 3, column 1: 'a' stands here twice",
    "a: {log: [1, 2], log: [1, 2]}": "'log' stands here twice",
    "a: yes": "line 1, column 4: expected a number such as 1.0e-4, got 'yes'",
    "a:": "expected a number such as 1.0e-4, got nothing",
    "a: [1, relu]": "line 1, column 8: expected a number such as 1.0e-4, got 'relu'",
    "a: '0.1'": "'0.1' is a string; write the number without quotes",
    "a: 1:30": "'1:30' is no decimal number",
    "a: 010": "'010' is no decimal number",
    "a: .inf": "'.inf' is no decimal number",
    "a: 1e999": "finite numbers, got inf",
    "a: " + "9" * 5000: "finite numbers, got inf",
    "a: []": "at least one value",
    "a: [[1]]": "line 1, column 5: expected a number, got a list",
    "a: &x [*x]": "expected a number, got a list",
    "a: !!python/object/apply:os.abort []": "the tag !!python/object/apply:os.abort is not read",
    "!!set {a, b}": "the tag !!set is not read",
    "a: [1, 2": "line 1, column 9: no YAML: expected ',' or ']'",
    "a: 1\n\tb: 2": "line 2, column 1: no YAML: found character '\\t'",
    "a: *x": "found undefined alias 'x'",
    "a: 1\n---\nb: 1": "line 2, column 1: no YAML: but found another document",
    "a: 1\nb: \x01": "line 2, column 4: no YAML: special characters are not allowed",
    'a: "\\UFFFFFFFF"': "no YAML",
    "[" * 5000: "nested too deeply",
    "weight-decay: 1": "'weight-decay' is no name of a hyperparameter",
    "a: 1\n<<: {b: 1}": "line 2, column 1: merge keys (<<) are not read",
    "? [a]\n: 1": "line 1, column 3: expected a name, got a list",
    "a: 1\nfirst: [{a: 1}]": "column 8: points to try first stand under the key 'try first'",
    "a: 1\ntry-first: [{a: 1}]": "did you mean try first?",
    "a: 1\ntry first: {a: 1}": "line 2, column 12: expected a list of points",
    "a: 1\ntry first: [1]": "line 2, column 13: expected a point such as {learning_rate: 1.0e-3}",
    "a: 1\ntry first: [{}]": "line 2, column 13: a point to try first names at least one",
    "a: 1\ntry first: [{b: 1}]": "line 2, column 14: no hyperparameter 'b' in the space; Valid: a",
    "a: 1\ntry first: [{a: 2}]": "line 2, column 17: a is 2, which is not in Choice(values=(1,))",
}
WRONG_JSON = {
    "": "space.json: is empty",
    '{"a": 1,}': "line 1, column 9: no JSON: ",
    '{\n\t"a": tru\n}': "line 2, column 7: no JSON: Expecting value",
    '{\n\t"a": "x"\n}': "line 2, column 7: expected a number such as 1.0e-4, got 'x'",
    '{"a": NaN}': "got 'NaN'",
    '{"a": 1, "a": 2}': "line 1, column 10: 'a' stands here twice",
    "[" * 100_000: "nested too deeply",
    "a: 1": "line 1, column 1: no JSON: Expecting value",
}


@pytest.mark.parametrize("text", [*WRONG, *WRONG_JSON], ids=lambda text: repr(text[:20]))
def test_what_is_wrong_in_a_file_is_told_with_its_place(tmp_path, text):
    for name, wrong in {"space.yaml": WRONG, "space.json": WRONG_JSON}.items():
        if text in wrong:
            (tmp_path / name).write_text(text)
            with pytest.raises(InvalidValue) as caught:
                load_space(tmp_path / name)
            assert wrong[text] in str(caught.value)
            assert name in str(caught.value)
            assert str(caught.value).isprintable()


def test_what_is_no_file_is_told(tmp_path):
    with pytest.raises(InvalidValue, match=r"cannot be read: Is a directory"):
        load_space(tmp_path)
    with pytest.raises(InvalidValue, match=r"none.yaml: cannot be read: No such file"):
        load_space(tmp_path / "none.yaml")
    with pytest.raises(InvalidValue, match=r"a\?b: cannot be read: embedded null byte"):
        load_space("a\0b")
    with pytest.raises(InvalidType, match="takes the path of a file, got 3"):
        load_space(3)  # type: ignore[arg-type]
    (tmp_path / "latin").write_bytes(b"a: 1\nb: 2 # gr\xfcn")
    with pytest.raises(InvalidValue, match=r"latin, line 2: not UTF-8 \(byte 0xfc\)"):
        load_space(tmp_path / "latin")
    with pytest.raises(InvalidValue, match="longer than 1048576 bytes"):
        load_space(os.devnull.replace("null", "zero"))


def test_nothing_in_a_file_is_constructed(tmp_path):
    (tmp_path / "space.yaml").write_text(f"a: !!python/object/apply:os.mkdir [{tmp_path}/made]")
    with pytest.raises(InvalidValue, match="tag"):
        load_space(tmp_path / "space.yaml")
    assert not (tmp_path / "made").exists()


def test_a_missing_extra_is_told(tmp_path, monkeypatch):
    (tmp_path / "space.yaml").write_text(YAML)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "gdjax\[sweep\]"'):
        load_space(tmp_path / "space.yaml")
