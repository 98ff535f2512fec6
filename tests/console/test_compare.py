"""The view Compare on real versions: what they answer differently is found, wherever the rows come from."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime

import pytest
from selenium.webdriver.support.select import Select

from gateway.prediction_log.offline.records.tf_records import write_record
from tests.console.compared_versions import (
    BROKEN_IN_NEW,
    KINDS,
    MODEL,
    NEW,
    NEW_CLASS,
    NOT_A_NUMBER,
    OLD,
    ONE_MORE,
    ONLY_NEW_NOT_A_NUMBER,
    PLANTED,
)
from tests.stack.browser import look
from tests.waiting import wait_for


def _record(data):
    file = io.BytesIO()
    write_record(file, data)
    return file.getvalue()


RECORD = _record(bytes(40))
WORST = "[aria-label='The rows that differ most'] tbody tr"
FAILED = "[aria-label^='The first of'] tbody tr"


def choose_file(page, path):
    page.field("Or a file").send_keys(str(path))


def start(page):
    page.button("Compare").click()


def compared(page):
    """The sentence of the result, once it is there."""
    page.wait("#sentence", 60)
    return page.text("#sentence")


def rows(page, selector=WORST):
    """The cells of a table's rows by row number."""
    script = """return [...document.querySelectorAll(arguments[0])].map(line =>
      [Number(line.dataset.row), ...[...line.children].map(cell => cell.innerText.trim())]);"""
    return {number: cells for number, *cells in page.run(script, selector)}


def lines(path, values):
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values))
    return path


def set_tolerance(page, relative, absolute):
    for label, value in (("Relative tolerance", relative), ("Absolute tolerance", absolute)):
        field = page.field(label)
        field.clear()
        field.send_keys(value)


def test_the_planted_difference_of_a_thousandth_is_found_in_its_row(compared_page, tmp_path):
    values = [[float(i % 40), float(i)] for i in range(300)]
    values[137][0] = PLANTED
    choose_file(compared_page, lines(tmp_path / "rows.jsonl", values))
    set_tolerance(compared_page, "1e-6", "1e-6")
    start(compared_page)
    said = compared(compared_page)
    assert said.startswith("300 of 300 rows were compared. The largest |Δ| is 0.001 (line 138),")
    assert said.endswith("Rows beyond the tolerance: 1; with another top class or text: 0; failed: 0.")
    assert said in compared_page.wait_text(said, "#announcements")
    found = rows(compared_page)
    assert list(found) == [137]
    where, given, a, b, gap, relative, at, verdict, _ = found[137]
    assert (where, given, a, b) == ("line 138", '{"x":[42,137]}', "y: [85, 277]", "y: [85.001, 277]")
    assert (gap, at, verdict) == ("0.001", "y[0]: 85 and 85.001", "beyond the tolerance")
    assert float(relative) == pytest.approx(1e-3 / 85, rel=0.02)
    bins = compared_page.text("[aria-label^='Rows by their largest'] tbody").split()
    assert bins == ["0", "299", "1e-3", "to", "1e-2", "1"]
    compared_page.find(f"{WORST} a").click()
    compared_page.wait_view("try")
    wait_for(
        lambda: "42" in compared_page.run("return [...document.querySelectorAll('main input, textarea')].map(one => one.value)")
    )
    compared_page.button("Predict").click()
    compared_page.wait_text("[85, 277]", "[data-answer]")


def test_a_difference_within_the_tolerance_of_rollouts_is_shown_and_not_counted(compared_page):
    compared_page.field("Input as JSON").send_keys(json.dumps({"instances": [[PLANTED, 0], [1, 2]]}))
    start(compared_page)
    assert "Rows beyond the tolerance: 0;" in compared(compared_page)
    assert rows(compared_page)[0][7] == "within the tolerance"


def test_equal_answers_are_said_to_be_equal(compared_page):
    compared_page.field("Input as JSON").send_keys("[1, 2]")
    start(compared_page)
    assert compared(compared_page).startswith("1 of 1 rows were compared. No numbers differ. Rows beyond the tolerance: 0;")
    assert rows(compared_page) == {}


def test_a_result_says_what_was_compared_whatever_is_chosen_next(compared_page):
    compared_page.field("Input as JSON").send_keys("[1, 2]")
    start(compared_page)
    compared(compared_page)
    compared_page.go("compare", model=MODEL, a=NEW, b=OLD)
    wait_for(lambda: compared_page.field("Version of A").get_attribute("value") == str(NEW))
    assert compared_page.text("section h2") == f"Result: A is version {OLD} of {MODEL}, B is version {NEW} of {MODEL}"


def test_rows_that_fail_are_told_one_by_one_and_the_others_are_compared(compared_page, tmp_path):
    values = [[float(i % 40), 0.0] for i in range(100)]
    values[3][0] = values[70][0] = BROKEN_IN_NEW
    values[5][0] = NOT_A_NUMBER
    values[6][0] = ONLY_NEW_NOT_A_NUMBER
    choose_file(compared_page, lines(tmp_path / "rows.jsonl", values))
    start(compared_page)
    said = compared(compared_page)
    assert "100 of 100 rows were compared. The largest |Δ| is not finite (line 7)" in said
    assert said.endswith("Rows beyond the tolerance: 1; with another top class or text: 1; failed: 2.")
    failed = rows(compared_page, FAILED)
    assert list(failed) == [3, 70]
    assert all("B: assertion failed" in cells[2] and "A:" not in cells[2] for cells in failed.values())


def test_whole_numbers_are_compared_exactly_beyond_what_a_double_holds_and_classes_by_their_place(compared_page, tmp_path):
    inputs = [KINDS | {"count": ONE_MORE - 44 + i, "x": [float(i), 0.0]} for i in range(46)]
    choose_file(compared_page, lines(tmp_path / "rows.jsonl", inputs))
    choose_signature(compared_page, "kinds")
    start(compared_page)
    assert compared(compared_page).endswith("Rows beyond the tolerance: 2; with another top class or text: 1; failed: 0.")
    found = rows(compared_page)
    assert set(found) == {43, 44}
    assert found[44][4] == "1"
    assert found[44][6] == f"count[]: {ONE_MORE} and {ONE_MORE + 1}"
    assert (int(NEW_CLASS), found[43][7]) == (43, "beyond the tolerance, another top class or text")


def test_a_signature_without_a_free_dimension_is_asked_row_by_row(compared_page, tmp_path):
    choose_signature(compared_page, "fixed")
    choose_file(compared_page, lines(tmp_path / "rows.jsonl", [{"inputs": {"a": [i, 2], "b": 0.5}} for i in range(5)]))
    set_tolerance(compared_page, "0", "1e-5")
    start(compared_page)
    assert "5 of 5 rows were compared. The largest |Δ| is 0.001" in compared(compared_page)
    assert "Rows beyond the tolerance: 5" in compared(compared_page)


def image(first):
    """12 x 12 pixels, which are black but for the first."""
    return [[first if (line, pixel) == (0, 0) else 0.0 for pixel in range(12)] for line in range(12)]


INSTANCES = {
    "kinds": [KINDS | {"count": count, "on": count % 2 == 0} for count in (1, -(2**62), ONE_MORE, 4)],
    "image": [image(first) for first in (1.0, 0.1, PLANTED, 3.0)],
}


@pytest.fixture(scope="module")
def logged(compared_stack, tmp_path_factory):
    """For each signature, the options that export one request of four rows, of which the third is answered differently."""

    def ask(signature, instances):
        began = datetime.now(UTC)
        compared_stack.predict(signature, instances=instances)
        window = ["--from", f"{began:%Y-%m-%dT%H:%M:%S.%fZ}", "--to", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"]
        tried = tmp_path_factory.mktemp("tried") / "log.jsonl"
        wait_for(lambda: compared_stack.export(tried, *window).read_text())
        return window

    return {signature: ask(signature, instances) for signature, instances in INSTANCES.items()}


FORMS = [("jsonl", "instance"), ("jsonl", "request"), ("csv", "instance"), ("csv", "request"), ("predictionlog", "")]


@pytest.mark.parametrize(("form", "per"), FORMS)
@pytest.mark.parametrize("signature", INSTANCES)
def test_what_the_log_exports_is_compared(  # noqa: PLR0917 - fixtures and parameters
    compared_page, compared_stack, logged, tmp_path, form, per, signature
):
    options = ["--format", form, *logged[signature], *(["--per", per] if per else [])]
    choose_signature(compared_page, signature)
    path = compared_stack.export(tmp_path / ("log" if form == "predictionlog" else f"log.{form}"), *options)
    choose_file(compared_page, path)
    start(compared_page)
    said = compared(compared_page)
    assert said.startswith("4 of 4 rows were compared."), compared_page.text("main")
    assert said.endswith("Rows beyond the tolerance: 1; with another top class or text: 0; failed: 0.")
    ((where, _, _, _, _, _, at, _, _),) = rows(compared_page).values()
    assert where == (third_line(path) if per == "instance" else f"{unit_of(form)}, row 2")
    assert at.startswith(f"count[]: {ONE_MORE} and {ONE_MORE + 1}" if signature == "kinds" else "mean[]: 0.29")


def unit_of(form):
    """Where the only request of an export is."""
    return {"predictionlog": "record 1", "jsonl": "line 1", "csv": "line 2"}[form]


def third_line(path):
    """Where the third instance of an export begins; cells may hold line breaks."""
    before = 2
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            table = csv.reader(file)
            for _ in range(3):
                next(table)
            before = table.line_num
    return f"line {before + 1}"


def choose_signature(page, name):
    wait_for(lambda: name in [option.text for option in Select(page.field("Signature")).options])
    Select(page.field("Signature")).select_by_visible_text(name)
    wait_for(lambda: f"signature={name}" in page.driver.current_url)


def test_only_the_first_ten_thousand_rows_of_a_file_are_read(compared_page, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("x[0],x[1]\n" + "1,2\n" * 10_001)
    choose_file(compared_page, path)
    start(compared_page)
    assert compared(compared_page).startswith("10000 of 10000 rows were compared. No numbers differ.")
    assert "The file has more than 10000 rows. The others were not read." in compared_page.text("main")


def test_a_comparison_is_cancelled_and_another_begins(compared_page, tmp_path):
    choose_signature(compared_page, "fixed")
    choose_file(compared_page, lines(tmp_path / "rows.jsonl", [{"inputs": {"a": [1, 2], "b": 0.5}}] * 10_000))
    start(compared_page)
    wait_for(
        lambda: compared_page.run("""const bar = document.querySelector("progress");
      return bar && bar.parentElement.textContent.includes("Comparing") && bar.value > 0;""")
    )
    compared_page.button("Cancel").click()
    said = compared(compared_page)
    assert "The comparison was cancelled." in compared_page.text("[role=alert]")
    assert 0 < int(said.split()[0]) < 10_000
    choose_file(compared_page, lines(tmp_path / "one.jsonl", [{"inputs": {"a": [1, 2], "b": 0.5}}]))
    start(compared_page)
    compared_page.wait_text("1 of 1 rows were compared", "#sentence")


def test_at_most_four_requests_are_in_flight_and_they_have_up_to_64_rows(compared_page, tmp_path):
    compared_page.run("""
    window.flights = {now: 0, most: 0, rows: []};
    const before = window.fetch;
    window.fetch = async (url, options) => {
      if (!String(url).includes(":predict")) return before(url, options);
      flights.most = Math.max(flights.most, flights.now += 1);
      flights.rows.push(JSON.parse(options.body).inputs.x.length);
      try { return await before(url, options); } finally { flights.now -= 1; }
    };""")
    choose_file(compared_page, lines(tmp_path / "rows.jsonl", [[1, 2]] * 1000))
    start(compared_page)
    compared(compared_page)
    flights = compared_page.run("return window.flights")
    assert flights["most"] == 4
    assert sorted(flights["rows"], reverse=True) == [64] * 30 + [40] * 2


def test_a_comparison_is_downloaded_as_csv_and_as_json_lines(compared_page, browser, tmp_path):
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    choose_signature(compared_page, "kinds")
    values = [KINDS | {"count": ONE_MORE - 1 + i} for i in range(3)]
    choose_file(compared_page, lines(tmp_path / "rows.jsonl", values))
    start(compared_page)
    compared(compared_page)
    for button, name in (("Download CSV", "comparison.csv"), ("Download JSON lines", "comparison.jsonl")):
        compared_page.button(button).click()
        wait_for((tmp_path / name).exists)
    with (tmp_path / "comparison.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    documents = [json.loads(line) for line in (tmp_path / "comparison.jsonl").read_text().splitlines()]
    assert [document["where"] for document in documents] == ["line 1", "line 2", "line 3"]
    assert [document["values"]["count"] for document in documents] == [value["count"] for value in values]
    assert documents[1]["b"]["count"] - documents[1]["a"]["count"] == documents[1]["gap"] == 1
    assert [document["isBeyond"] for document in documents] == [False, True, False]
    assert [{name: json.loads(cell) for name, cell in row.items()} for row in table] == documents
    assert documents[0]["values"]["word"] == KINDS["word"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.gz", gzip.compress(b"[1,2]\n"), "expected a file that is unpacked, got gzip"),
        ("log", RECORD[:-3], "record 1: expected 44 bytes, got 41: the file is cut off"),
        ("log", RECORD + RECORD[:5], "record 2: expected 12 bytes, got 5: the file is cut off"),
        ("log", RECORD[:20] + b"!" + RECORD[21:], "record 1: expected a TFRecord with its checksum, got another one"),
        ("log", b"\x01" + RECORD[1:], "record 1: expected a TFRecord with its checksum, got another one"),
        ("rows.jsonl", b"[1, 2]\n[\xff, 1]\n", "expected UTF-8, got other bytes"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(compared_page, tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    choose_file(compared_page, path)
    start(compared_page)
    compared_page.wait("#sentence")
    assert said in compared_page.text("[role=alert]")


def test_lines_that_do_not_fit_are_left_out_with_their_number_and_what_was_expected(compared_page, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('x.0,x.1\n1,2\n3\nfour,5\n"6","7"\n8,"9')
    choose_file(compared_page, path)
    start(compared_page)
    assert compared(compared_page).startswith("2 of 2 rows were compared.")
    told = compared_page.text("section ul").splitlines()
    assert "3 lines or records were left out" in compared_page.text("section")
    assert told == [
        "line 3: the line: expected 2 cells, got 1",
        'line 4: x[0]: expected a number (float), got "four"',
        "line 6: a cell: expected a closing quote, got the end of the file",
    ]


def test_a_version_that_is_not_there_ends_the_comparison_with_the_gateways_words(compared_page):
    compared_page.go("compare", model=MODEL, a=1, b=9)
    assert not compared_page.has_button("Compare")


def test_the_view_with_a_result_has_no_serious_barrier(compared_page, browser):
    compared_page.field("Input as JSON").send_keys(json.dumps({"instances": [[PLANTED, 0], [BROKEN_IN_NEW, 2], [1, 2]]}))
    start(compared_page)
    compared(compared_page)
    for dark, width in ((False, 1400), (True, 1400), (False, 360), (True, 360)):
        look(browser, dark=dark, width=width, reduced_motion=True)
        assert compared_page.findings() == []
