"""The page in a real browser: every panel used as a person would. `make test-live` installs what it needs.

Skipped where Playwright or a Chromium is missing: apt-get install chromium, or CHROMIUM names another one's program.
"""

from __future__ import annotations

import re
import time

import pytest

pytest.importorskip("playwright.sync_api", reason="make test-live installs Playwright")

from driving import THREE, chromium, drag, launched
from playwright.sync_api import sync_playwright

import minidl
from minidl.live.choices import OPTIMISERS

if chromium() is None:
    pytest.skip("no Chromium was found: install one, or name it by CHROMIUM", allow_module_level=True)

WAIT = 100_000
"""Milliseconds: these tests may have a busy machine."""
SMALL = ["Conv2D(1, 4, 3)", "Relu()", "MaxPool2D(2)", "Flatten()", "Linear(676, 10)"]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as running:
        found = launched(running)
        yield found
        found.close()


@pytest.fixture
def tab(browser, page):
    """A tab with the page open; no error may have come, and no request to anybody else."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(WAIT)
    faults = []
    found = opened(context, page, faults)
    yield found
    context.close()
    assert faults == []


def opened(context, page, faults):
    found = context.new_page()
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.on(
        "console", lambda said: faults.append(said.text) if said.type == "error" and not usual(said.text) else None
    )
    found.on("request", lambda asked: faults.append(asked.url) if not allowed(asked.url, page) else None)
    found.goto(page.address)
    found.wait_for_selector("#numbers div")
    found.wait_for_selector("#layers input", state="attached")
    return found


def usual(text):
    """What a browser says of a refused request, and of a server that has ended."""
    return "400" in text or "ERR_CONNECTION_REFUSED" in text


def allowed(address, page):
    return address.startswith((page.address, page.address.replace("http", "ws"), "data:"))


def until(condition, what="it"):
    end = time.monotonic() + WAIT / 1000
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def number(tab, name):
    """A number of the row above the panel Train."""
    text = tab.locator("#numbers div", has_text=re.compile(f"^{name}")).locator("dd").inner_text()
    return text.replace(",", "")


def state(tab, wanted):
    until(lambda: number(tab, "state") == wanted, f"the state must become {wanted}")


ONE = [(150, 40), (145, 100), (140, 160), (135, 240)]
SEVEN = [(70, 60), (130, 58), (200, 55), (170, 120), (140, 180), (120, 240)]


# ---- Train -----------------------------------------------------------------------------------------------------------


def test_a_training_is_started_paused_stepped_and_reset(tab, page):
    assert number(tab, "state") == "ready"
    page.ask("steer", {"speed": 20})  # not at its end before a slow machine has clicked again
    tab.click("#go")
    until(lambda: number(tab, "step") != "0")
    tab.click("#go")
    state(tab, "paused")
    steps = int(number(tab, "step"))
    assert page.desk.run.steps == steps
    tab.click("#one")
    until(lambda: int(number(tab, "step")) == steps + 1)
    state(tab, "paused")
    assert "It is paused after" in tab.inner_text("#said")
    tab.click("#reset")
    state(tab, "ready")
    assert number(tab, "step") == "0"
    assert "A new training" in tab.inner_text("#said")


def test_it_learns_the_digits_while_one_looks(tab, page):
    page.ask("reset", {"epochs": 2})
    tab.click("#go")
    state(tab, "done")
    assert float(number(tab, "right, validation").rstrip(" %")) > 85
    assert page.desk.run.steps == 80
    assert tab.locator("#maps canvas").count() == 10
    assert tab.locator("#filters canvas").count() == 2
    assert tab.locator("#gradients tbody tr").count() == 8
    assert "layer 1: " in tab.inner_text("#dead")
    diagonal = tab.locator("#confusion td.right button").all_inner_texts()
    assert sum(int(text or 0) for text in diagonal) == page.desk.run.judged["right"]
    painted = tab.locator("#loss").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
    )
    assert painted


def test_the_rate_is_moved_while_it_trains(tab, page):
    page.ask("reset", {"epochs": 1_000_000, "layers": SMALL})
    tab.wait_for_selector("#layers li:nth-child(5)")
    tab.click("#go")
    state(tab, "training")
    tab.focus("#lr")
    before = page.desk.run.trainer.optimizer.lr
    for _ in range(4):
        tab.keyboard.press("ArrowLeft")
    until(lambda: page.desk.run.trainer.optimizer.lr < 0.7 * before)
    assert tab.inner_text("#lr-out") == "0.00631"
    tab.focus("#decay")
    tab.keyboard.press("Home")
    until(lambda: page.desk.run.trainer.optimizer.weight_decay == 0)
    tab.select_option("#speed", "2")
    until(lambda: page.desk.run._speed == 2)
    tab.click("#go")
    state(tab, "paused")


def test_a_list_of_layers_is_broken_and_mended(tab, page):
    first = tab.locator("#layers input").nth(7)
    shape = tab.locator("#layers p").nth(7)
    first.fill("Linear(700, 256)")
    until(lambda: shape.inner_text().startswith("layer 7 (Linear): input must have 700 features"), shape.inner_text())
    assert first.get_attribute("aria-invalid") == "true"
    assert first.get_attribute("aria-label") == "Layer 7"
    assert tab.locator("#layers p").nth(8).inner_text() == "→ not known"
    tab.click("#reset")
    until(lambda: tab.inner_text("#said").startswith("layer 7 (Linear): input must have 700 features"))
    assert tab.inner_text("#changed") == "What is marked red must be mended first."
    assert page.desk.run.settings.layers[7] == "Linear(784, 256)"
    first.fill("Linear(784, 32)")
    until(lambda: shape.inner_text() == "→ 32, 25,120 weights")
    assert tab.inner_text("#said") == ""
    until(lambda: "must have 256 features" in tab.locator("#layers p").nth(9).inner_text())
    assert tab.locator("#layers p").nth(9).inner_text().endswith("gives 32 features: write Linear(32, 10)")
    assert tab.inner_text("#changed") == "What is marked red must be mended first."
    last = tab.locator("#layers input").nth(9)
    last.fill("Linear(32, 10)")
    until(lambda: tab.locator("#layers input[aria-invalid=true]").count() == 0)
    until(lambda: tab.inner_text("#changed") == "Reset begins anew with these settings.")
    last.press("Enter")  # a fresh line below, which is taken away again
    assert tab.locator("#layers li").count() == 11
    tab.keyboard.press("Backspace")
    assert tab.locator("#layers li").count() == 10
    until(lambda: tab.locator("#layers input[aria-invalid=true]").count() == 0)
    tab.click("#reset")
    until(lambda: page.desk.run.settings.layers[7] == "Linear(784, 32)")
    tab.click("#one")
    until(lambda: page.desk.run.steps == 1)


def test_fields_that_are_wrong_are_told_at_once_each_beside_itself(tab, page):
    for field, value in (("batch", "0"), ("epochs", ""), ("seed", "-3")):
        tab.fill(f"#{field}", value)
    tab.click("#go")
    until(lambda: tab.inner_text("#said") == "A new training cannot begin like this: see batch, epochs, seed.")
    lines = {
        "batch": "batch must be a whole number from 1 to 10,000, got 0",
        "epochs": "epochs must be a whole number from 1 to 1,000,000, got nothing",
        "seed": "seed must be a whole number from 0 to 2,147,483,648, got -3",
    }
    for field, line in lines.items():
        assert tab.locator(f"#{field} + .error").inner_text() == line
        assert tab.get_attribute(f"#{field}", "aria-invalid") == "true"
    assert page.desk.run.status == "ready"
    tab.fill("#batch", "50")
    assert tab.locator("#batch + .error").inner_text() == tab.inner_text("#said") == ""
    assert tab.inner_text("#changed") == "What is marked red must be mended first."
    tab.fill("#epochs", "1")
    tab.fill("#seed", "4")
    assert tab.inner_text("#changed") == "Reset begins anew with these settings."
    tab.click("#reset")
    until(lambda: page.desk.run.settings.batch == 50)
    until(lambda: tab.inner_text("#said") == "A new training, not begun yet.")


def test_a_number_of_an_image_that_is_not_there_is_told_beside_it(tab, page):
    line = "image must be a whole number from 0 to 999, got 5000"
    tab.fill("#image", "5000")
    tab.locator("#image").blur()
    until(lambda: tab.locator("#image + .error").inner_text() == line)
    assert tab.inner_text("#said") == ""
    tab.fill("#image", "5")
    tab.locator("#image").blur()
    until(lambda: page.desk.run.image == 5)
    until(lambda: tab.locator("#image + .error").inner_text() == "")
    tab.click("#tab-inside")
    tab.wait_for_selector("#in-code tr")
    tab.fill("#in-number", "5000")
    tab.locator("#in-number").blur()
    until(lambda: tab.locator("#in-number + .error").inner_text() == line)
    tab.select_option("#in-layer", "3")  # it is still the same number
    tab.fill("#in-number", "5")
    tab.locator("#in-number").blur()
    until(lambda: tab.locator("#in-number + .error").inner_text() == "")
    assert tab.inner_text("#in-error") == ""


def test_what_has_not_begun_says_so_and_choices_are_explained(tab, page):
    assert tab.evaluate("scrollY") == 0
    assert tab.get_attribute("#loss", "aria-label") == "Curve of the loss: no step yet"
    assert tab.get_attribute("#accuracy", "aria-label") == "Curve of the right answers: no step yet"
    for name, each in OPTIMISERS.items():
        tab.select_option("#optimiser", name)
        assert tab.inner_text("#optimiser-help") == each.help
    assert "A Relu is dead when it is 0 for every image" in tab.inner_text("#train")
    tab.select_option("#optimiser", "sgd")
    tab.click("#one")
    until(lambda: tab.get_attribute("#loss", "aria-label") == "Curve of the loss")
    state(tab, "paused")
    until(lambda: tab.inner_text("#said") == "It is paused after 1 step.")


def test_a_message_of_a_training_that_failed_goes_with_it(tab, page):
    wild = {"optimiser": "plain", "lr": 100, "weight_decay": 10}
    page.ask("reset", wild | {"layers": SMALL, "epochs": 1_000_000})
    until(lambda: tab.input_value("#optimiser") == "plain")
    tab.click("#go")
    state(tab, "failed")
    until(lambda: tab.inner_text("#said").endswith("After a change, press Reset."))
    tab.select_option("#optimiser", "adam")
    tab.focus("#decay")
    tab.keyboard.press("Home")
    tab.click("#go")
    state(tab, "training")
    assert page.desk.run.settings.optimiser == "adam"
    tab.click("#go")
    state(tab, "paused")
    assert "press Reset" not in tab.inner_text("#said")


def columns(tab, place):
    """How many maps of 28 x 28 pixels stand side by side."""
    return tab.locator(place).first.evaluate("c => Math.round(c.width / 29)")


def test_maps_that_come_while_their_panel_is_hidden_fill_its_width(tab):
    held, late = [], []
    tab.route("**/api/slow", lambda route: route.continue_() if late else held.append(route))
    tab.click("#tab-step")
    until(lambda: tab.evaluate("true") and held)  # routes come while the page is asked for something
    tab.click("#tab-train")
    late.append(True)
    held[0].continue_()
    until(lambda: tab.locator("#st-show canvas").count() == 14)
    tab.click("#tab-step")
    until(lambda: columns(tab, "#st-show .layer canvas") == 8)
    tab.set_viewport_size({"width": 300, "height": 900})
    until(lambda: columns(tab, "#st-show .layer canvas") == 4)
    tab.click("#tab-train")
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.click("#tab-step")
    until(lambda: columns(tab, "#st-show .layer canvas") == 8)


def test_filters_that_are_folded_up_fill_their_width_when_they_are_opened(tab):
    tab.click("#filters-box summary")
    tab.click("#one")
    state(tab, "paused")
    tab.click("#filters-box summary")
    until(lambda: tab.locator("#filters canvas").first.evaluate("c => c.width") == 31)


def test_another_network_and_data_that_are_not_there(tab, page, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tab.select_option("#network", "mlp")
    until(lambda: tab.locator("#layers input").count() == 4)
    tab.select_option("#data", "cifar10")
    until(lambda: "not found in" in tab.inner_text("#data-fault"))
    assert tab.inner_text("#changed") == "What is marked red must be mended first."
    tab.click("#reset")
    until(lambda: tab.inner_text("#said") == "A new training cannot begin like this: see data.")
    tab.select_option("#data", "digits")
    until(lambda: (tab.inner_text("#said"), tab.inner_text("#data-fault")) == ("", ""))
    tab.click("#reset")
    until(lambda: page.desk.run.settings.network == "mlp")
    until(lambda: tab.locator("#maps canvas").count() == 4)


def test_the_confusion_matrix_and_mistakes_are_clicked(tab, page):
    counts = page.desk.run.judged["counts"]
    truth, guess = next((t, g) for t in range(10) for g in range(10) if t != g and counts[t][g])
    tab.locator("#confusion tbody tr").nth(truth).locator("button").nth(guess).click()
    tab.wait_for_selector("#cell .thumb")
    assert tab.inner_text("#cell h3").startswith(f"{truth}, taken for {guess}: ")
    assert tab.locator("#cell .thumb").count() == min(24, counts[truth][guess])
    tab.locator("#worst .thumb").first.click()
    until(lambda: page.desk.run.image == page.desk.run.judged["worst"][0]["image"])
    until(lambda: tab.input_value("#image") == str(page.desk.run.image))


def test_two_tabs_see_one_training(tab, page):
    faults = []
    other = opened(tab.context, page, faults)
    page.ask("reset", {"epochs": 1_000_000, "layers": SMALL})
    tab.bring_to_front()
    until(lambda: tab.locator("#layers input").count() == 5)
    tab.click("#go")
    other.bring_to_front()
    state(other, "training")
    other.click("#go")
    state(other, "paused")
    tab.bring_to_front()
    state(tab, "paused")
    assert number(tab, "step") == str(page.desk.run.steps)
    assert faults == []


def test_a_reload_finds_the_training_as_it_is(tab, page):
    page.ask("reset", {"epochs": 1_000_000, "layers": SMALL})
    until(lambda: tab.locator("#layers input").count() == 5)
    tab.click("#go")
    until(lambda: page.desk.run.steps > 50)
    tab.reload()
    tab.wait_for_selector("#numbers div")
    state(tab, "training")
    until(lambda: int(number(tab, "step")) > 50)
    assert tab.locator("#layers input").count() == 5
    tab.click("#go")
    state(tab, "paused")


def test_the_server_ends(tab, page):
    assert tab.locator("#link").is_hidden()
    page.stop()
    tab.wait_for_selector("#link:not([hidden])")
    assert "The server has ended" in tab.inner_text("#link")


# ---- the other panels ------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(tab, page):
    """The same after a training that knows the digits."""
    page.ask("reset", {"epochs": 5, "change": "turn"})
    page.ask("start")
    page.until(lambda run: run.status == "done")
    return tab


def test_digits_are_drawn_and_recognised(trained, page):
    tab = trained
    tab.click("#tab-draw")
    for points, name in ((THREE, "3"), (ONE, "1"), (SEVEN, "7")):
        tab.click("#clear")
        assert tab.inner_text("#guess") == "Nothing is drawn yet."
        drag(tab, points)
        until(lambda name=name: tab.inner_text("#guess") == f"It looks like {name}.", tab.inner_text("#guess"))
        assert tab.locator("#bars b.best").inner_text() == name
    assert tab.locator("#draw-maps canvas").count() == 10
    tab.click("#tab-inside")
    tab.select_option("#in-image", "drawn")
    until(lambda: tab.locator("#in-maps canvas").count() == 10)
    assert tab.inner_text("#in-error") == ""


def test_a_digit_is_drawn_by_keys(tab, page):
    tab.click("#tab-draw")
    tab.focus("#pad")
    tab.keyboard.down(" ")
    for _ in range(8):
        tab.keyboard.press("ArrowDown")
    tab.keyboard.up(" ")
    until(lambda: tab.inner_text("#guess").startswith("It looks like"))
    tab.keyboard.press("Delete")
    until(lambda: tab.inner_text("#guess") == "Nothing is drawn yet.")


def test_one_looks_inside_of_every_layer(tab, page):
    tab.click("#tab-inside")
    tab.wait_for_selector("#in-code tr")
    run = page.desk.run
    tab.fill("#in-number", "4")
    tab.locator("#in-number").blur()
    activations = run.model.activations(run.images.x_val[4:5])
    for name, output in [*activations, ("softmax", run.model.predict_proba(run.images.x_val[4:5]))]:
        tab.select_option("#in-layer", name.split()[0])
        where = [min(index, size - 1) for index, size in zip((3, 5, 6), output.shape[1:])]
        if len(where) == 3:
            for field, index in zip(("#in-map", "#in-row", "#in-column"), where):
                tab.fill(field, str(index))
                tab.locator(field).blur()
        else:
            where = [2]
            tab.fill("#in-column", "2")
            tab.locator("#in-column").blur()
        value = float(output[(0, *where)])

        def shown(value=value):
            found = re.match(r"y = (-?[\d.e-]+)\.", tab.inner_text("#in-words"))
            return found and float(found[1]) == pytest.approx(value, rel=1e-3, abs=1e-6)

        until(shown, (name, value, tab.inner_text("#in-words")))
    assert "exp(shifted)" in tab.inner_text("#in-code")


def test_a_pixel_is_pointed_at_and_moved_by_keys(tab, page):
    tab.click("#tab-inside")
    tab.wait_for_selector("#in-output canvas")
    tab.locator("#in-maps canvas").nth(3).click(position={"x": 5, "y": 5})
    until(lambda: tab.input_value("#in-layer") == "3")
    canvas = tab.locator("#in-output canvas")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 7.5 / 14, "y": box["height"] * 3.5 / 14})
    until(lambda: (tab.input_value("#in-row"), tab.input_value("#in-column")) == ("3", "7"))
    canvas.press("ArrowDown")
    until(lambda: tab.input_value("#in-row") == "4")
    until(lambda: "oh = 4" in tab.inner_text("#in-code") and "ow = 7" in tab.inner_text("#in-code"))
    assert "reference/conv.py" in tab.inner_text("#in-file")
    assert tab.locator("#in-source i").count() == 1


def test_sliders_say_what_is_impossible(tab, page):
    tab.click("#tab-inside")
    assert "= 5 positions" in tab.inner_text("#sl-words")
    tab.focus("#sl-dilation")
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    until(lambda: "it does not fit in even once" in tab.inner_text("#sl-words"))
    assert "The library says: Conv2D: the kernel's height 9" in tab.inner_text("#sl-error")
    tab.focus("#sl-padding")
    tab.keyboard.press("ArrowRight")
    until(lambda: "= 1 positions" in tab.inner_text("#sl-words"))
    assert tab.inner_text("#sl-error") == ""


def test_one_step_is_walked_through_and_checked(tab, page):
    tab.click("#tab-step")
    for words in ("Step 1. Forward", "Step 1. Loss", "Step 1. Backward", "Step 1. Update", "Step 2. Forward"):
        until(lambda words=words: tab.inner_text("#st-words").startswith(words), words)
        tab.click("#st-next")
    tab.fill("#st-lr", "0.01")
    tab.click("#st-check")
    tab.wait_for_selector("#st-report table")
    assert "all gradients are right" in tab.inner_text("#st-report")
    assert tab.locator("#st-report tbody tr").count() == 10
    assert tab.locator("#st-report td.passed").count() == 10
    tab.fill("#st-images", "0, 99999")
    tab.click("#st-new")
    tab.fill("#st-lr", "")
    tab.click("#st-new")
    until(lambda: tab.inner_text("#st-lr-fault") == "learning rate must be a number from 0 to 100, got nothing")
    assert tab.inner_text("#st-images-fault") == "images must be a whole number from 0 to 999, got 99999"
    tab.fill("#st-images", "0, 1")
    tab.fill("#st-lr", "0.1")
    tab.click("#st-new")
    until(lambda: tab.locator("#st-show .thumb").count() == 2)
    assert tab.inner_text("#st-lr-fault") == tab.inner_text("#st-images-fault") == tab.inner_text("#st-error") == ""


def test_a_model_of_ones_own(tab, page, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    body = minidl.Sequential(minidl.Conv2D(4, 4, 3, padding=1), minidl.Relu())
    layers = [minidl.Conv2D(3, 4, 3, padding=1), minidl.Residual(body), minidl.GlobalAvgPool2D(), minidl.Linear(4, 2)]
    minidl.Model(*layers, class_names=["cat", "dog"]).save(tmp_path / "pets.safetensors")
    Image.new("RGB", (50, 40), (200, 90, 10)).save(tmp_path / "cat.png")
    (tmp_path / "noise.onnx").write_bytes(b"noise" * 100)
    tab.click("#tab-model")
    tab.set_input_files("#mo-file", tmp_path / "pets.safetensors")
    tab.wait_for_selector("#mo-graph svg rect")
    assert tab.input_value("#mo-shape") == "3, 28, 28"
    assert "pets.safetensors: " in tab.inner_text("#mo-said")
    assert tab.locator("#mo-layers tbody tr").count() == 8
    tab.fill("#mo-shape", "3, 12, 16")
    tab.click("#mo-measure")
    until(lambda: "4 x 12 x 16" in tab.inner_text("#mo-layers"))
    tab.set_input_files("#mo-picture", tmp_path / "cat.png")
    tab.wait_for_selector("#mo-answer li")
    assert {text.split(":")[0] for text in tab.locator("#mo-answer li").all_inner_texts()} == {"cat", "dog"}
    assert tab.locator("#mo-maps canvas").count() == 6
    tab.fill("#mo-shape", "1, 12, 16")
    tab.click("#mo-measure")
    until(lambda: "must have 3 channels" in tab.inner_text("#mo-error"))
    tab.set_input_files("#mo-file", tmp_path / "noise.onnx")
    until(lambda: tab.inner_text("#mo-error") not in ("", None) and "3 channels" not in tab.inner_text("#mo-error"))


# ---- for everybody ---------------------------------------------------------------------------------------------------


def test_tabs_are_reached_by_keys_and_labelled(tab):
    tab.focus("#tab-train")
    for name in ("draw", "inside", "step", "model", "train"):
        tab.keyboard.press("ArrowRight")
        assert tab.locator(f"#tab-{name}").get_attribute("aria-selected") == "true"
        assert tab.locator(f"#{name}").is_visible()
        assert tab.locator("[role=tabpanel]:visible").count() == 1
    unnamed = tab.evaluate(
        """() => [...document.querySelectorAll("button, input, select")].filter((e) => !(e.labels?.length
        || e.getAttribute("aria-label") || e.textContent.trim())).map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    pictures = tab.evaluate(
        """() => [...document.querySelectorAll("canvas")].filter((e) => e.getAttribute("role") === "img"
        && !e.getAttribute("aria-label")).length"""
    )
    assert pictures == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_and_can_be_changed(browser, page, scheme):
    context = browser.new_context(color_scheme=scheme)
    context.set_default_timeout(WAIT)
    faults = []
    tab = opened(context, page, faults)
    theme = tab.locator("html")
    assert theme.get_attribute("data-theme") == scheme
    tab.click("#theme")
    other = {"light": "dark", "dark": "light"}[scheme]
    assert theme.get_attribute("data-theme") == other
    tab.reload()
    assert theme.get_attribute("data-theme") == other
    context.close()
    assert faults == []


def test_a_phone_needs_no_sideways_scrolling(browser, page):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(WAIT)
    faults = []
    tab = opened(context, page, faults)
    for name in ("train", "draw", "inside", "step", "model"):
        tab.tap(f"#tab-{name}")
        tab.wait_for_timeout(500)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390, name
    tab.tap("#tab-draw")
    box = tab.locator("#pad").bounding_box()
    tab.touchscreen.tap(box["x"] + 100, box["y"] + 100)
    until(lambda: tab.inner_text("#guess").startswith("It looks like"))
    context.close()
    assert faults == []
