"""Bad requests: what is sent, and what the answer must say."""

HALF = "/v1/models/half_plus_two:predict"
DIGITS = "/v1/models/digits:predict"
BASKET = "/v1/models/basket:predict"
TEN = [0.5] * 10
ROW = {"sku": "a", "quantity": 1, "unit_price": 1.0, "express": False}
IMAGE = [[0.0] * 8] * 8


def row(**changes):
    return {key: value for key, value in (ROW | changes).items() if value is not ...}


# Path, body, and what the answer must hold: JSON pointers or other words.
CASES = [
    # The body as a whole.
    (HALF, "", ["The document is empty"]),
    (HALF, "   ", ["The document is empty"]),
    (HALF, "{", ["JSON Parse error"]),
    (HALF, "not json", ["JSON Parse error: Invalid value"]),
    (HALF, '{"instances": [1.0,]}', ["JSON Parse error"]),
    (HALF, "{'instances': [1.0]}", ["JSON Parse error"]),
    (HALF, '{"instances": [01]}', ["JSON Parse error"]),
    (HALF, '{"instances": [1e400]}', ["Number too big to be stored in double"]),
    # Bytes that are no UTF-8 may be the value of a string, as upstream has it, and are none for a number; a name must be text.
    (HALF, b'{"instances": ["\xff"]}', ["/instances/0: expected"]),
    (HALF, b'{"\xff": [1.0]}', ["JSON Parse error"]),
    (HALF, "[" * 100_000, ["JSON Parse error"]),
    (HALF, "[1, 2]", ["Is not object"]),
    (HALF, "null", ["Is not object"]),
    (HALF, {}, ["Missing 'inputs' or 'instances' key"]),
    (HALF, {"instances": [1.0], "inputs": [1.0]}, ["expecting only one of"]),
    (HALF, {"signature_name": 7, "instances": [1.0]}, ["'signature_name' key must be a string value"]),
    (HALF, {"signature_name": "nope", "instances": [1.0]}, ['"nope" not found in signature def', "serving_default"]),
    # Row format.
    (HALF, {"instances": 1.0}, ["Expecting 'instances' to be an list/array"]),
    (HALF, {"instances": {}}, ["Expecting 'instances' to be an list/array"]),
    (HALF, {"instances": []}, ["No values in 'instances' array"]),
    (HALF, {"instances": ["a"]}, ["/instances/0: expected", 'string "a"']),
    (HALF, {"instances": [1.0, None, "b"]}, ["/instances/1: expected", "/instances/2: expected"]),
    (HALF, {"instances": [1.0, True]}, ["/instances/1: expected"]),
    (HALF, {"instances": [[1.0], [2.0, 3.0]]}, ["/instances/1: expected", "list of 2"]),
    (HALF, {"instances": [[1.0], 2.0]}, ["/instances/1: expected"]),
    (HALF, {"instances": [{"x": [1.0]}, [2.0]]}, ["/instances/1"]),
    (HALF, {"instances": [[1.0], {"x": [2.0]}]}, ["/instances/1"]),
    (HALF, {"instances": [{"z": [1.0]}]}, ["/instances/0/z", "/instances/0/x"]),
    (HALF, {"instances": [{"x": [1.0], "z": 2}]}, ["/instances/0/z"]),
    (HALF, {"instances": [{"x": {"b64": "AA=="}}]}, ["/instances/0/x"]),
    (DIGITS, {"instances": [[[1.0]] * 8, [[1.0]] * 7]}, ["/instances/1"]),
    (DIGITS, {"instances": [[[1.0] * 8] * 9]}, ["float[-1,8,8]", "[1, 9, 8]"]),
    (DIGITS, {"instances": [1.0]}, ["float[-1,8,8]"]),
    (DIGITS, {"signature_name": "png", "instances": [{"b64": "%%%"}]}, ["/instances/0", "base64"]),
    (DIGITS, {"signature_name": "png", "instances": [{"b64": "AA=A"}]}, ["/instances/0", "base64"]),
    (DIGITS, {"signature_name": "png", "instances": [17]}, ["/instances/0: expected"]),
    (BASKET, {"instances": [1]}, ["instances is a plain list"]),
    (BASKET, {"instances": [row(sku=7)]}, ["/instances/0/sku: expected"]),
    (BASKET, {"instances": [ROW, row(quantity=1.5)]}, ["/instances/1/quantity: expected", "1.5"]),
    (BASKET, {"instances": [row(quantity="2")]}, ["/instances/0/quantity: expected"]),
    (BASKET, {"instances": [row(quantity=2**31)]}, ["/instances/0/quantity: expected", "2147483648"]),
    (BASKET, {"instances": [row(express=0)]}, ["/instances/0/express: expected"]),
    (BASKET, {"instances": [row(sku=...)]}, ["/instances/0/sku"]),
    (BASKET, {"instances": [row(sku=..., more=1)]}, ["/instances/0/sku", "/instances/0/more"]),
    (BASKET, {"instances": [row(sku=1, quantity="x"), row(express=None)]},
     ["/instances/0/sku", "/instances/0/quantity", "/instances/1/express"]),
    (BASKET, {"instances": [row(unit_price=[1.0]), row(unit_price=[1.0, 2.0])]}, ["/instances/1/unit_price"]),
    # Columnar format.
    (HALF, {"inputs": "a"}, ["/inputs: expected"]),
    (HALF, {"inputs": [[1.0], ["b"]]}, ["/inputs/1/0: expected"]),
    (HALF, {"inputs": [[1.0], [2.0, 3.0]]}, ["/inputs/1: expected"]),
    (HALF, {"inputs": {}}, ["Missing named input: x"]),
    (HALF, {"inputs": {"z": [1.0]}}, ["Missing named input: x"]),
    (HALF, {"inputs": {"x": [None]}}, ["/inputs/x/0: expected", "null"]),
    (BASKET, {"inputs": [1]}, ["inputs is a plain value/list"]),
    (BASKET, {"inputs": {"sku": ["a"]}}, ["Missing named input", "/inputs/quantity"]),
    (BASKET, {"inputs": {"sku": ["a"], "quantity": [1], "unit_price": ["x"], "express": [1]}},
     ["/inputs/unit_price/0: expected", "/inputs/express/0: expected"]),
    # The simple dialect, strict.
    ("/predict", "", ["BAD_INPUT"]),
    ("/predict", "{", ["BAD_INPUT", "JSON Parse error"]),
    ("/predict", "[]", ["BAD_INPUT"]),
    ("/predict", {}, ["/features"]),
    ("/predict", {"features": TEN, "more": 1}, ["/more"]),
    ("/predict", {"feature": TEN}, ["/feature", "/features"]),
    ("/predict", {"features": TEN[:9]}, ["/features", "list of 9"]),
    ("/predict", {"features": [*TEN, 1]}, ["/features", "list of 11"]),
    ("/predict", {"features": [TEN]}, ["/features"]),
    ("/predict", {"features": 1.0}, ["/features"]),
    ("/predict", {"features": None}, ["/features", "null"]),
    ("/predict", {"features": [*TEN[:8], "a", None]}, ["/features/8", "/features/9"]),
    ("/predict", {"features": [*TEN[:9], True]}, ["/features/9", "true"]),
    ("/predict", {"features": [*TEN[:9], 1e39]}, ["/features/9"]),
    ("/predict", '{"features": [1,1,1,1,1,1,1,1,1,NaN]}', ["/features/9"]),
    ("/predict", {"data": TEN[:3]}, ["/data", "list of 3"]),
    ("/predict/digits", {"image": IMAGE[:7]}, ["/image"]),
    ("/predict/digits", {"image": [*IMAGE[:7], [0.0] * 7]}, ["/image/7"]),
    ("/predict/digits", {"image": [*IMAGE[:7], [0.0] * 7 + ["x"]]}, ["/image/7/7"]),
    ("/predict/basket", {"sku": 1, "quantity": 1.0, "unit_price": "x", "express": 1},
     ["/sku", "/quantity", "/unit_price", "/express"]),
    ("/predict/basket", row(quantity=2**31), ["/quantity", "2147483648"]),
    ("/predict/basket", row(sku=...), ["/sku"]),
    ("/predict/basket", row(sku={"b64": "?"}), ["/sku", "base64"]),
    ("/predict/basket", row(sku=["a"]), ["/sku"]),
    ("/predict/basket", {"data": 1}, ["/data", "/sku", "/quantity", "/unit_price", "/express"]),
]  # fmt: skip

LOOKUPS = [
    ("/v1/models/nope:predict", 404, "Servable not found for request: Latest(nope)"),
    ("/v1/models/dense/versions/77:predict", 404, "Servable not found for request: Specific(dense, 77)"),
    ("/v1/models/dense/labels/nope:predict", 400, "Unrecognized servable version label: nope"),
    ("/v1/models/dense/versions/99999999999999999999:predict", 400, "Failed to convert version"),
    ("/v1/models/dense:explain", 400, "Malformed request"),
    ("/predict/nope", 404, "NOT_FOUND"),
    ("/nothing/here", 404, "NOT_FOUND"),
]
