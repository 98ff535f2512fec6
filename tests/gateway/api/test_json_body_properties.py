"""Accept fast, refuse well: whatever a fast way accepts, the schemas accept as the same tensors, bit for bit.

And a body that goes through all ways together has the outcome that it has by the schemas alone, to the last word of a refusal.
"""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.json_body import JsonBody, Known
from gateway.api.openinference.request import InferRequest
from gateway.api.simple.body import FORM as SIMPLE
from gateway.api.tfserving import body
from gateway.api.tfserving.routes import FORM as PREDICT
from gateway.codec.json_text import parse_json
from gateway.codec.large_json import parse_large_json
from gateway.errors import GatewayError, InvalidArgument
from gateway.inference.signature import ModelRef
from tests.gateway.api import bodies
from tests.gateway.api.arrays import bits

MODEL = ModelRef("m")


def by_the_schemas(form, data, signature):
    """What happened to a body before there were other ways."""
    document = parse_json(data, raw_strings=form.raw_strings, strict=form.strict)
    if form.naming is not None:
        form.naming.name(document)
    return form.load(document, signature)


def outcome(load):
    """Tensors bit for bit, or every word of the refusal."""
    try:
        return content(load())
    except GatewayError as error:
        return type(error), error.message, getattr(error, "problems", ()), getattr(error, "omitted", 0)


def content(loaded):
    is_row, tensors = (loaded.row, loaded.tensors) if isinstance(loaded, body.PredictBody) else (None, loaded)
    return is_row, [(name, bits(array)) for name, array in tensors.items()]


def fast_ways(form, data, signature):
    """What each fast way alone makes of a body; None: it does not know."""
    yield form.typed(signature)(data)
    hollowed = parse_large_json(data, raw_strings=form.raw_strings, strict=form.strict)
    yield None if hollowed is None else form.accept(hollowed, signature)
    try:
        document = parse_json(data, raw_strings=form.raw_strings, strict=form.strict)
    except InvalidArgument:
        assert hollowed is None, "a large list hides no error"
    else:
        yield form.accept(document, signature)


def loaded(known, data, signature):
    return JsonBody(known, MODEL, data).load(signature)


def assert_no_way_differs(form, data, signature):
    truth = outcome(lambda: by_the_schemas(form, data, signature))
    for accepted in fast_ways(form, data, signature):
        assert accepted is None or content(accepted) == truth
    known = Known(form)
    assert outcome(lambda: loaded(known, data, signature)) == truth, "when nothing is known of the model"
    known.note(MODEL, signature)
    assert outcome(lambda: loaded(known, data, signature)) == truth, "when its signature is known"


@given(st.data())
@settings(max_examples=600, deadline=None)
def test_no_way_takes_a_predict_body_for_other_than_what_the_schemas_do(data):
    signature = data.draw(bodies.signatures())
    text = data.draw(bodies.damaged(data.draw(bodies.predict_bodies(signature))))
    assert_no_way_differs(PREDICT, data.draw(bodies.as_bytes(text)), signature)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_no_way_takes_a_simple_body_for_other_than_what_the_schemas_do(data):
    signature = data.draw(bodies.signatures())
    text = data.draw(bodies.damaged(data.draw(bodies.simple_bodies(signature))))
    assert_no_way_differs(SIMPLE, data.draw(bodies.as_bytes(text)), signature)


@given(st.data())
@settings(deadline=None)
def test_a_body_that_was_decoded_for_another_signature_is_read_again(data):
    known, one, other = Known(PREDICT), data.draw(bodies.signatures()), data.draw(bodies.signatures())
    sent = data.draw(bodies.predict_bodies(one)).encode()
    known.note(MODEL, one)
    assert outcome(lambda: loaded(known, sent, other)) == outcome(lambda: by_the_schemas(PREDICT, sent, other))


@given(st.data())
@settings(deadline=None)
def test_large_lists_of_an_inference_request_are_read_as_small_ones_are(data):
    """White space makes lists large; without it they are read in the usual way."""
    signature = data.draw(bodies.signatures())
    inputs = [data.draw(bodies.infer_inputs(spec, ",~")) for spec in signature.inputs]
    text = data.draw(bodies.damaged('{"inputs": [' + ", ".join(inputs) + "]}"))
    wide, narrow = text.replace("~", bodies.WIDE).encode(), text.replace("~", " ").encode()
    assert without_offset(outcome(lambda: infer(wide, signature))) == without_offset(outcome(lambda: infer(narrow, signature)))


def infer(data, signature):
    return InferRequest(data, None).tensors(signature)


def without_offset(happened):
    kind, message, *rest = happened
    return kind, re.sub(r"offset: \d+", "", message) if isinstance(message, str) else message, rest
