"""What commands print of texts that come from elsewhere."""

from model_export.console import progress


def test_progress_is_told_on_one_line_and_a_terminal_obeys_none_of_it(capsys):
    with progress("mine") as report:
        report("refused: \x1b[2Jgone\nnext")
    assert capsys.readouterr().err == "mine: refused: \\x1b[2Jgone\\nnext\n"
