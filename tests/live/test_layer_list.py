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


def test_layers_count_from_0_and_lines_that_are_none_do_not_count():
    rows, _ = check(["", "Rulu()", " ", "Flatten()", "Linear(0, 2)", "Linear(3, 2)"], DIGIT, 10)
    assert rows[4]["error"] == "Linear: in_features must be at least 1, got 0"
    rows, model = check(["Flatten()", "", "Linear(784, 10)"], DIGIT, 10)
    assert [part.who for part in model.layers] == ["layer 0 (Flatten)", "layer 1 (Linear)"]


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
    f"Conv2D({'-' * 900}1)": "the brackets and signs of this line are nested too deeply",
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


def test_the_last_layer_must_give_a_score_a_class_and_one_is_told_what_to_write():
    rule = "the last layer must give 10 scores, one a class, and gives"
    assert errors("Flatten()", "Linear(784, 9)")[1] == f"{rule} 9: write Linear(784, 10)"
    assert errors("Flatten()") == [f"{rule} 784: add Linear(784, 10) behind it"]
    assert errors("Relu()") == [f"{rule} 1 x 28 x 28: add Flatten() and Linear(784, 10) behind it"]


WORDS = {
    "Conv2D(1, eight, 3)": "Conv2D: out_channels must be a whole number, got eight",
    "Conv2D(1, -eight, 3)": "Conv2D: out_channels must be a whole number, got -eight",
    "Conv2D(1, Relu, 3)": "Conv2D: out_channels must be a whole number, got Relu",
    "Conv2D(1, 8, (3, x))": "Conv2D: kernel_size must be a whole number or a tuple of such, got (3, x)",
    "Conv2D(1, 8, 3, padding=same)": "Conv2D: padding must be a whole number, a tuple of such or a text in quotation"
    " marks, got same",
    "Conv2D(1, 8, 3, init=zeros)": "Conv2D: init must be a text in quotation marks, got zeros",
    "Linear(784, 10, bias=false)": "Linear: bias must be True or False, got false",
    "Sequential(Dropout(half))": "Dropout: rate must be a number, got half",
    "Arithmetic('add', two)": "Arithmetic: value must be a number, got two",
    "Linear(784, 10, lr=fast)": "Linear has no argument 'lr'; it is written Linear(in_features, out_features, bias=True"
    ", init='he_normal')",
    "Linear(784, 10, True, fast)": "Linear: too many arguments, or one twice; it is written Linear(in_features,"
    " out_features, bias=True, init='he_normal')",
    "Relu(x)": "Relu: too many arguments, or one twice; it is written Relu()",
    "Residual(eight)": "minidl has no layer 'eight'",
    "Sequential(Relu(), Relu)": "write the parentheses: Relu()",
}


@pytest.mark.parametrize(("line", "message"), WORDS.items(), ids=WORDS)
def test_of_a_word_that_is_no_value_one_is_told_what_is_expected(line, message):
    assert errors(line) == [message]


FITTING = {
    "Conv2D(4, 9, 3)": "got 8 in shape (1, 8, 26, 26); layer 0 (Conv2D) gives 8 channels: write Conv2D(8, 9, 3)",
    "Conv2D(out_channels=9, in_channels=4, kernel_size=3)": "write Conv2D(out_channels=9, in_channels=8,"
    " kernel_size=3)",
    "minidl.BatchNorm2D(4)": "input must have 4 channels, got 8; layer 0 (Conv2D) gives 8 channels: write"
    " minidl.BatchNorm2D(8)",
    "GroupNorm(2, 4)": "write GroupNorm(2, 8)",
    "PRelu(slope=0.1, channels=3)": "write PRelu(slope=0.1, channels=8)",
    "ConvTranspose2D(4, 4, 2)": "write ConvTranspose2D(8, 4, 2)",
    "Linear(8, 10)": "got shape (1, 8, 26, 26); put a Flatten before",
    "Sequential(Conv2D(4, 4, 3))": "layer 1.0 (Conv2D): input must have 4 channels (shape (N, 4, H, W)), got 8 in"
    " shape (1, 8, 26, 26)",
    "Conv2D(4, 9, 40)": "got 8 in shape (1, 8, 26, 26)",
}


@pytest.mark.parametrize(("line", "end"), FITTING.items(), ids=FITTING)
def test_where_the_channels_do_not_fit_one_is_told_the_line_that_does(line, end):
    _, error = errors("Conv2D(1, 8, 3)", line)
    assert error.startswith("layer 1")
    assert error.endswith(end)


def test_the_image_and_features_are_named_too():
    assert errors("Conv2D(3, 8, 3)")[0].endswith("; the image has 1 channel: write Conv2D(1, 8, 3)")
    assert errors("Flatten()", "Linear(100, 10)")[1] == (
        "layer 1 (Linear): input must have 100 features, got 784; layer 0 (Flatten) gives 784 features: write"
        " Linear(784, 10)"
    )


@pytest.mark.parametrize("lines", [[], ["", " "], "Relu()", [3], None, ["Relu()"] * 201], ids=str)
def test_what_is_no_list_of_lines_is_refused(lines):
    with pytest.raises(ValueError, match="layer"):
        check(lines, DIGIT, 10)
