"""The list of layers: shapes behind each, the library's own messages, and that nothing but layers is made of a text."""

from __future__ import annotations

import pytest

from minidl.live.layer_list import check, read_layer

DIGIT = (1, 28, 28)


def errors(*lines):
    return [row["error"] for row in check(lines, DIGIT, 10)[0]]


def test_shapes_and_weights_stand_behind_each_line():
    rows, model = check(["Conv2D(1, 8, 5, stride=2)", "", "minidl.Relu()", "Flatten()", "Linear(1152, 10)"], DIGIT, 10)
    assert [row["shape"] for row in rows] == [[8, 12, 12], None, [8, 12, 12], [1152], [10]]
    assert [row["weights"] for row in rows] == [208, None, 0, 0, 11530]
    assert repr(model.layers[0]) == "Conv2D(1, 8, 5, stride=2)"


def test_layers_inside_of_layers_are_read():
    layer = read_layer("Residual(Sequential(Conv2D(4, 4, 3, padding=((1, 1), (1, 1))), Relu()), name='block')")
    assert layer.name == "block"
    assert layer.output_shape((4, 5, 5)) == (4, 5, 5)


def test_a_layer_that_does_not_fit_has_the_librarys_message_and_nothing_is_known_behind_it():
    rows, model = check(["Flatten()", "Linear(100, 10)", "Relu()"], DIGIT, 10)
    assert model is None
    assert rows[1]["error"].startswith("layer 1 (Linear): input must have 100 features")
    assert [row["shape"] for row in rows] == [[784], None, None]
    assert rows[2]["error"] is None


REFUSED = {
    "Conv2D(1, 8)": "Conv2D lacks kernel_size; it is written Conv2D(in_channels, out_channels, kernel_size, stride=1,",
    "Conv2D(kernel_size=3)": "Conv2D lacks in_channels and out_channels; it is written",
    "Linear(1, 2, 3, 4, 5)": "Linear: too many arguments, or one twice; it is written Linear(in_features, out_features",
    "Linear(1, 2, in_features=2)": "Linear: too many arguments, or one twice",
    "Relu(1)": "Relu: too many arguments, or one twice; it is written Relu()",
    "Linear(784, 10, lr=3)": "Linear has no argument 'lr'; it is written Linear(in_features, out_features, bias=True",
    "Sum()": "Sum lacks axes; it is written Sum(axes",
    "Conv2D(1, 8, 0)": "Conv2D: kernel_size must be",
    "Conv2D(1, 8, 31)": "must fit into the padded input's height 28",
    "Linear(784, 10)": "layer 0 (Linear): input must have",
    "Relu": "write the parentheses: Relu()",
    "Rulu()": "minidl has no layer 'Rulu'; there is Relu",
    "nn.ReLU()": "minidl has no layer 'nn.ReLU'; there is Relu",
    "conv2d(1, 8, 3)": "minidl has no layer 'conv2d'; there is Conv2D",
    "Conv2D(": "a line must be one layer, such as Relu() or Linear(784, 10), got 'Conv2D('",
    "Relu() Relu()": "a line must be one layer, such as Relu() or Linear(784, 10), got 'Relu() Relu()'",
    "3": "a line must be one layer, such as Relu()",
    "-" * 900 + "1": "the brackets and signs of this line are nested too deeply",
    "Add()": "a layer of several inputs or outputs stands in a Graph",
    "Linear(10**9, 10)": "numbers, texts, tuples and layers may stand here, not '10 ** 9'",
    "Conv2D(*[1, 2, 3])": "numbers, texts, tuples and layers may stand here",
    "Conv2D(**{'a': 1})": "arguments with ** are not read here",
    "__import__('os')": "minidl has no layer '__import__'",
    "Relu().__class__()": "minidl has no layer 'Relu().__class__'",
    "Layer()": "minidl has no layer 'Layer'",
    "Parameter(3, 'a')": "minidl has no layer 'Parameter'",
    "(lambda: 3)()": "minidl has no layer 'lambda: 3'",
    "Linear(1000000, 1000000)": "larger than what all layers together may have here, 20,000,000 numbers",
    "Upsample(1000)": "one image becomes 784,000,000 numbers, this page takes 4,000,000",
    "Conv2D(1, 1, 1, padding=5000)": "one image becomes 100,560,784 numbers",
    "Flatten(" + "(" * 500 + ")" * 501: "",
    "Relu()" + " " * 1000: "a line may have 1000 characters, got 1006",
    "Relu(name='a\x00b')": "",
}


@pytest.mark.parametrize(("line", "message"), REFUSED.items(), ids=[line[:30] for line in REFUSED])
def test_a_line_that_is_refused_says_why_in_a_line(line, message):
    (error,) = errors(line)
    assert error is not None
    assert message in error
    assert "\n" not in error


def test_the_last_layer_must_give_a_score_a_class():
    assert errors("Flatten()", "Linear(784, 9)")[1] == "the last layer must give 10 scores, one a class, and gives 9"
    assert errors("Relu()") == ["the last layer must give 10 scores, one a class, and gives 1 x 28 x 28"]


@pytest.mark.parametrize("lines", [[], ["", " "], "Relu()", [3], None, ["Relu()"] * 201], ids=str)
def test_what_is_no_list_of_lines_is_refused(lines):
    with pytest.raises(ValueError, match="layer"):
        check(lines, DIGIT, 10)
