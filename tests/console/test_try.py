"""The view Try on the real stack: forms of every kind, what is sent, what comes back, and the code for it."""

import base64
import json
import os
import struct
import subprocess
import sys
import zlib

import pytest
import requests
from selenium.webdriver import Keys
from selenium.webdriver.common.action_chains import ActionChains

from gateway.api.admin.log_query import MOST_ROWS as MOST_LISTED
from tests.waiting import wait_for

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.62, 0.4), (0.54, 0.6), (0.46, 0.84)]
ROWS = "[data-answer] [aria-label=Outputs] tbody tr"


@pytest.fixture
def predictions(browser):
    """The bodies of the requests for predictions that the page has sent since then."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.get_log("performance")

    def sent() -> list[str]:
        messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = [message["params"]["request"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        return [request["postData"] for request in asked if ":predict" in request["url"] and request["method"] == "POST"]

    return sent


def predict(page) -> None:
    """Send what the form has, and wait for its answer or for a refusal."""
    before = facts(page).get("Request")
    page.button("Predict").send_keys(Keys.ENTER)  # wherever it is scrolled to
    wait_for(lambda: facts(page).get("Request") not in (before, None) or page.find("main [role=alert]"))


def outputs(page) -> list[dict[str, str]]:
    """The answer's rows, by the names of the outputs."""
    return page.run(
        "return [...document.querySelectorAll(arguments[0])].map(row => Object.fromEntries("
        "[...row.querySelectorAll('td')].map(cell => [cell.dataset.output, cell.innerText])))",
        ROWS,
    )


def facts(page) -> dict[str, str]:
    return page.run(
        "return Object.fromEntries("
        "[...document.querySelectorAll('[data-fact]')].map(fact => [fact.dataset.fact, fact.innerText]))"
    )


def code(page, language: str, dialect: str) -> str:
    for label, value in (("Language", language), ("Dialect", dialect)):
        choose(page, page.field(label, "[aria-label='As code']"), value)
    paths = {"v1": ":predict", "v2": "/infer", "predict": "/predict/"}
    words = {"curl": "curl -sS", "Python": "requests.post", "fetch": "await fetch"}
    wait_for(lambda: paths[dialect] in (shown := page.text("[data-code]")) and words[language] in shown)
    return page.run("return document.querySelector('[data-code]').textContent")


def run(program: list[str], stack) -> bytes:
    environment = os.environ | {"GATEWAY_KEY": stack.keys["admin"]}
    return subprocess.run(program, env=environment, check=True, capture_output=True, timeout=60).stdout


def set_value(page, field, value: str) -> None:
    """Put a value into a field as if it had been typed."""
    page.run("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", field, value)


def paste(page, field, text: str) -> bool:
    """Paste a text into a field; whether the page has put it somewhere else."""
    return not page.run(
        "const data = new DataTransfer(); data.setData('text/plain', arguments[1]);"
        "const event = new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true});"
        "return arguments[0].dispatchEvent(event)",
        field,
        text,
    )


def fill_with(page, title: str) -> None:
    choice = page.field("Fill with")
    wait_for(lambda: title in choice.text)
    choose(page, choice, title)


def choose(page, choice, title: str) -> None:
    """Choose the option of a select whose text is ``title``, or else the first that has it."""
    page.run(
        "const titles = [...arguments[0].options].map(one => one.textContent), exact = titles.indexOf(arguments[1]);"
        "arguments[0].selectedIndex = exact >= 0 ? exact : titles.findIndex(one => one.includes(arguments[1]));"
        "arguments[0].dispatchEvent(new Event('change', {bubbles: true}))",
        choice,
        title,
    )


def draw(page, points) -> None:
    paper = page.wait("canvas.paper")
    page.run("arguments[0].scrollIntoView({block: 'center'})", paper)
    width, height = paper.size["width"], paper.size["height"]
    at = [(round((x - 0.5) * width), round((y - 0.5) * height)) for x, y in points]
    pointer = ActionChains(page.driver, duration=20).move_to_element_with_offset(paper, *at[0]).click_and_hold()
    for point in at[1:]:
        pointer.move_to_element_with_offset(paper, *point)
    pointer.release().perform()


def png(width: int, height: int, pixel) -> bytes:
    """A picture whose grey values are ``pixel(x, y)``."""
    lines = b"".join(b"\0" + bytes(pixel(x, y) for x in range(width)) for y in range(height))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_a_drawn_7_is_recognised_and_curl_gives_the_same_bytes(page, console_stack, predictions):
    page.open("try", model="digits")
    wait_for(lambda: page.field("White is").get_attribute("value") == "16")  # as the examples of the version have it
    draw(page, SEVEN)
    predict(page)
    assert page.run("return document.querySelector('[data-class]').dataset.class") == "7"
    assert outputs(page)[0]["label"] == "7"
    [sent] = predictions()
    image = json.loads(sent)["instances"][0]
    assert (len(image), {len(row) for row in image}, min(map(min, image)) >= 0, 12 < max(map(max, image)) <= 16) == (
        8,
        {8},
        True,
        True,
    )
    command = code(page, "curl", "v1")
    assert sent in command
    answered = run(["bash", "-c", command], console_stack)
    again = requests.post(
        f"{console_stack.address}/v1/models/digits:predict", data=sent, headers=console_stack.bearer(), timeout=30
    )
    assert answered == again.content
    assert f"[{', '.join(map(str, json.loads(answered)['predictions'][0]['probabilities']))}]".count(",") == 9
    assert json.loads(run([sys.executable, "-c", code(page, "Python", "v1")], console_stack)) == json.loads(answered)
    assert page.findings() == []
    infer = json.loads(run(["bash", "-c", code(page, "curl", "v2")], console_stack))
    assert next(one["data"] for one in infer["outputs"] if one["name"] == "label") == [7]
    one = json.loads(run(["bash", "-c", code(page, "curl", "predict")], console_stack))
    assert one["prediction"]["label"] == 7


def test_a_line_is_drawn_by_the_keyboard(page, predictions):
    page.open("try", model="digits")
    page.wait("canvas.paper").send_keys(" ", *[Keys.ARROW_UP] * 6, *[Keys.ARROW_DOWN] * 12, " ")
    assert "The pen is up, 10 from the left and 16 from the top" in page.text("[data-input=image]")
    predict(page)
    image = json.loads(predictions()[0])["instances"][0]
    assert all(max(row) > 0 for row in image), "the ink is as high as the picture"
    assert {row.index(max(row)) for row in image} <= {2, 3, 4, 5}, "and in its middle"
    page.find("canvas.paper").send_keys(Keys.DELETE)
    predict(page)
    page.find("canvas.paper").send_keys(" ", Keys.ARROW_UP)
    page.button("Clear").click()
    predict(page)
    assert [json.loads(body)["instances"] for body in predictions()] == [[[[0] * 8] * 8]] * 2


def test_black_and_white_are_typed_key_by_key(page):
    page.open("try", model="digits")
    # The log shall not have such a picture: what is in it decides what black and white are for others.
    page.between("""
    if (!url.includes(":predict")) return ask(url, options);
    window.sent = options.body;
    return Response.json({error: "It is kept here."}, {status: 400});""")
    wait_for(lambda: page.field("White is").get_attribute("value") == "16")
    page.wait("canvas.paper").send_keys(" ", *[Keys.ARROW_DOWN] * 6)
    for label, text in (("Black is", "-1"), ("White is", "0.5")):
        page.run("arguments[0].focus()", page.field(label))
        page.replace("")
        page.press(Keys.BACKSPACE, *text)
        assert page.field(label).get_attribute("value") == text
    predict(page)
    image = json.loads(page.run("return sent"))["instances"][0]
    assert (min(map(min, image)), max(map(max, image))) == (-1, 0.5)


def test_white_is_255_for_an_input_of_bytes(page):
    page.open("about")
    page.between("""
    const answer = await ask(url, options);
    if (!url.includes("/metadata")) return answer;
    return Response.json(JSON.parse((await answer.text()).replaceAll("DT_FLOAT", "DT_UINT8")));
    """)
    page.go("try", model="digits")
    choice = page.field("Fill with")
    wait_for(lambda: "the digits from 0 to 9" in choice.text)
    assert page.field("White is").get_attribute("value") == "255"


def test_a_picture_is_dropped_inverted_and_stretched(page, predictions):
    page.open("try", model="digits")
    wait_for(lambda: page.field("White is").get_attribute("value") == "16")
    picture = base64.b64encode(png(16, 32, lambda x, y: 255 if x < 8 else 0)).decode()
    page.run(
        "const bytes = Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0)), data = new DataTransfer();"
        "data.items.add(new File([bytes], 'left.png', {type: 'image/png'}));"
        "document.querySelector('[data-input=image] fieldset').dispatchEvent("
        "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}))",
        picture,
    )
    page.wait_text("left.png: 16 \u00d7 32 pixels")
    predict(page)
    assert json.loads(predictions()[0])["instances"][0][3] == pytest.approx([16, 16, 16, 16, 0, 0, 0, 0], abs=2)
    page.field("Invert").click()
    predict(page)
    assert json.loads(predictions()[0])["instances"][0][3] == pytest.approx([0, 0, 0, 0, 16, 16, 16, 16], abs=2)


def test_rows_of_a_spreadsheet_are_pasted_with_their_header(page, predictions):
    page.open("try", model="basket")
    paste(
        page,
        page.field("express, row 0"),
        'sku\tquantity\texpress\tunit_price\r\n"a ""b""\nc"\t2\tTRUE\t1.10\r\nmug\t3\tfalse\t.5\r\n',
    )
    predict(page)
    assert predictions() == [
        '{"instances":[{"express":true,"quantity":2,"sku":"a \\"b\\"\\nc","unit_price":1.10},'
        '{"express":false,"quantity":3,"sku":"mug","unit_price":0.5}]}'
    ]
    assert [row["total_cents"] for row in outputs(page)] == ["710", "150"]
    assert page.field("Rows").get_attribute("value") == "2"


def test_a_sentence_is_pasted_as_it_is_into_a_field_for_text(page):
    page.open("try", model="basket")
    assert not paste(page, page.field("sku, row 0"), "One, two; three")
    assert paste(page, page.field("quantity, row 0"), "1;2")


def test_a_row_of_numbers_is_pasted_and_the_digits_stay_as_typed(page, predictions):
    page.open("try", model="dense")
    paste(page, page.field("features[0], row 0"), "0.10\t1e0\t3\t4\t5\t6\t7\t8\t9\t10")
    predict(page)
    assert predictions() == ['{"instances":[[0.10,1e0,3,4,5,6,7,8,9,10]]}']


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("quantity, row 0", "1.5", 'quantity[0]: expected a whole number (int32), got "1.5"'),
        ("quantity, row 0", "2147483648", 'quantity[0]: expected a number that int32 holds, got "2147483648"'),
        ("express, row 0", "yes", 'express[0]: expected true or false, got "yes"'),
        ("unit_price, row 0", "1e39", 'unit_price[0]: expected a number (float), got "1e39"'),
        ("unit_price, row 0", "", "unit_price[0]: expected a number (float), got nothing"),
    ],
)
def test_a_value_that_does_not_fit_is_told_at_its_field_and_not_sent(page, predictions, field, value, message):
    page.open("try", model="basket")
    set_value(page, page.field(field), value)
    predict(page)
    assert page.text("main [role=alert]") == message
    assert page.field(field).get_attribute("aria-invalid") == "true"
    assert predictions() == []


def test_a_refusal_of_the_server_stands_at_the_input_that_it_names(page):
    page.open("try", model="half_plus_two", signature="regress_x_to_y")
    predict(page)
    assert page.text("main [role=alert]")
    page.open("try", model="digits", signature="png")
    page.field("as base64").send_keys("bm8gcG5n")
    predict(page)
    assert "PNG" in page.text("main [role=alert]").upper()


def test_a_file_is_sent_as_base64(page, tmp_path, predictions):
    page.open("try", model="digits", signature="png")
    (tmp_path / "one.png").write_bytes(content := png(8, 8, lambda x, y: 255 * (3 <= x <= 4)))
    page.field("File of image_bytes").send_keys(str(tmp_path / "one.png"))
    wait_for(lambda: page.field("as base64").get_attribute("value"))
    predict(page)
    assert outputs(page)[0]["label"] == "1"
    encoded = base64.b64encode(content).decode()
    assert predictions() == [f'{{"signature_name":"png","instances":[{{"b64":"{encoded}"}}]}}']


def test_examples_of_the_version_the_signature_and_chance_fill_the_form(page, predictions):
    page.open("try", model="digits")
    fill_with(page, "the digits from 0 to 9")
    predict(page)
    assert [row["label"] for row in outputs(page)] == [str(digit) for digit in range(10)]
    page.open("try", model="dense")
    for title in ("0.5 to 5", "from the signature", "random"):
        fill_with(page, title)
        predict(page)
    bodies = [json.loads(body)["instances"][0] for body in predictions()[1:]]
    assert bodies[:2] == [[i / 2 for i in range(1, 11)], [1] * 10]
    assert all(-1 <= value <= 1 for value in bodies[2])
    assert len(set(bodies[2])) > 5


def test_the_inputs_of_a_logged_request_are_tried_again(page, console_stack, predictions):
    asked = {"instances": [[9.25, 8, 7, 6, 5, 4, 3, 2, 1, 0.1]]}
    headers = console_stack.bearer() | {"X-Request-Id": "try-this-again"}
    console_stack.post("/v1/models/dense:predict", asked, headers=headers)
    rows = f"{console_stack.address}/admin/log?model=dense"
    wait_for(lambda: "try-this-again" in requests.get(rows, headers=console_stack.bearer(), timeout=30).text)
    page.open("try", model="dense", request="try-this-again")
    wait_for(lambda: page.field("features[0], row 0").get_attribute("value") == "9.25")
    predict(page)
    assert [json.loads(body) for body in predictions()] == [asked]
    # However many have come since then.
    with requests.Session() as session:
        session.headers.update(console_stack.bearer())
        for _ in range(MOST_LISTED):
            session.post(f"{console_stack.address}/v1/models/dense:predict", json=asked, timeout=30)
        wait_for(lambda: "try-this-again" not in session.get(f"{rows}&n={MOST_LISTED}", timeout=30).text)
    page.open("try", model="dense", request="try-this-again")
    wait_for(lambda: page.field("features[0], row 0").get_attribute("value") == "9.25")
    page.open("try", model="dense", request="nobody-sent-this")
    page.wait_text("The log shows no inputs of the request nobody-sent-this.")


@pytest.mark.parametrize("answer", ["return ask(url, options);", "throw new TypeError('it is late');"])
def test_a_late_answer_for_the_model_before_leaves_the_form_as_it_is(page, answer):
    page.open("about")
    page.between(f"""
    if (!url.includes("digits/metadata")) return ask(url, options);
    await new Promise(resolve => {{ window.goOn = resolve; }});
    try {{ {answer} }} finally {{ requestAnimationFrame(() => setTimeout(() => {{ window.isLate = true; }}, 200)); }}""")
    page.driver.execute_script("location.hash = '#/try?model=digits'")
    wait_for(lambda: page.run("return !!window.goOn"))
    page.go("try", model="dense")
    page.field("features[0], row 0")
    page.run("goOn()")
    wait_for(lambda: page.run("return !!window.isLate"))
    assert page.has_button("Predict")
    assert not page.find("main [role=alert]")


def test_facts_of_the_answer_are_told(page):
    page.open("try", model="half_plus_two", version="1")
    predict(page)
    found = facts(page)
    assert found["Version"] == "1"
    assert float(found["Round trip (ms)"]) > 0
    assert {"parse (ms)", "model (ms)", "total (ms)", "Rows of the batch", "Request"} <= found.keys()
    assert "/v1/models/half_plus_two/versions/1:predict" in code(page, "curl", "v1")


def test_a_wrong_answer_gets_its_label(page, console_stack):
    page.open("try", model="digits")
    fill_with(page, "the digits from 0 to 9")
    predict(page)
    set_value(page, page.field("Row to look at"), "4")
    page.wait("details summary").click()
    page.field("What row 4 should have been").send_keys("5", Keys.ENTER)
    page.wait_text("The gateway has the label of row 4.")
    request_id = facts(page)["Request"]

    import sqlite3
    from contextlib import closing

    def labels() -> list:
        with closing(sqlite3.connect(console_stack.folder / "predictions.db")) as connection:
            return connection.execute("SELECT row, label FROM feedback WHERE request_id = ?", (request_id,)).fetchall()

    assert wait_for(labels) == [(4, "5")]


def test_json_is_there_by_choice_and_says_where_it_is_wrong(page, predictions):
    page.open("try", model="dense")
    page.button("As JSON").click()
    area = page.field("as JSON")
    set_value(page, area, "[[1,2,3,4,5,6,7,8,9,]]")
    assert "features: expected float at character 21" in page.text("main [role=alert]")
    set_value(page, area, "[[1,2,3,4,5,6,7,8,9,10.50], [1,2]]")
    predict(page)
    assert "features[1]: expected 10 elements, got 2" in page.text("main [role=alert]")
    set_value(page, area, "[[1,2,3,4,5,6,7,8,9,10.50]]")
    predict(page)
    assert predictions() == ['{"instances":[[1,2,3,4,5,6,7,8,9,10.50]]}']


def test_json_that_is_broken_is_not_sent_and_nothing_in_its_place(page, predictions):
    page.open("try", model="dense")
    page.button("As JSON").click()
    area = page.field("as JSON")
    set_value(page, area, "[[1,2,3,4,5,6,7,8,9,10]]")
    set_value(page, area, "[[1,2,3,")
    page.button("Predict").click()
    assert "features: expected float at character 9" in page.text("main [role=alert]")
    set_value(page, area, "[[1,2,3,4,5,6,7,8,9,11]]")
    predict(page)
    assert predictions() == ['{"instances":[[1,2,3,4,5,6,7,8,9,11]]}']


def test_many_rows_are_sent_and_few_of_them_drawn(page, predictions):
    page.open("try", model="dense")
    line = "\t".join("1.5" for _ in range(10))
    paste(page, page.field("features[0], row 0"), "\n".join([line] * 2000))
    page.wait_text("These are the first 60 of 2000 rows")
    predict(page)
    assert len(json.loads(predictions()[0])["instances"]) == 2000
    page.wait_text("These are the first 50 of 2000 rows.")
    assert page.run("return document.querySelectorAll('*').length") < 2500


def test_who_may_not_predict_is_told_the_scope(page, console_stack):
    page.key = console_stack.keys["looks"]
    page.open("try", model="dense")
    page.wait_text("Predictions need a key with the scope predict.")
    assert not page.has_button("Predict")


def test_a_prediction_is_made_by_the_keyboard_only(page):
    page.open("try", model="half_plus_two")
    page.tab_to(lambda at: at["label"] == "x[0], row 0")
    page.press(Keys.BACKSPACE, "5", Keys.ENTER)
    wait_for(lambda: page.find("[data-answer]"))
    assert outputs(page) == [{"y": "[4.5]"}]
