import pytest

from gateway.tracing.route import route_of


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/predict", "/predict"),
        ("/predict/dense", "/predict/{model}"),
        ("/v1/models/dense:predict", "/v1/models/{model}:predict"),
        ("/v1/models/d%65nse:classify", "/v1/models/{model}:classify"),
        ("/v1/models/dense/versions/12:regress", "/v1/models/{model}/versions/{version}:regress"),
        ("/v1/models/dense/labels/stable:predict", "/v1/models/{model}/labels/{label}:predict"),
        ("/v1/models/dense/metadata", "/v1/models/{model}/metadata"),
        ("/v1/models/dense", "/v1/models/{model}"),
        ("/v1/models", "/v1/models"),
        ("/v1/feedback", "/v1/feedback"),
        ("/v2/models/dense/infer", "/v2/models/{model}/infer"),
        ("/v2/models/dense/versions/1/infer", "/v2/models/{model}/versions/{version}/infer"),
        ("/docs", "/docs"),
        ("/invocations", "/invocations"),
        ("/admin/rollouts", "/admin/rollouts"),
        ("/admin/rollouts/dense", "/admin/rollouts/{model}"),
        ("/admin/rollouts/dense/history", "/admin/rollouts/{model}/history"),
        ("/admin/rollouts/dense/abort", "/admin/rollouts/{model}/{order}"),
        ("/nobody/knows", ""),
        ("/v1/models/dense:delete", ""),
        ("/predict/" + "x" * 3000, "/predict/{model}"),
    ],
)
def test_a_path_has_the_pattern_of_its_route_whatever_the_model_is_called(path, route):
    assert route_of(path) == route
