"""The OpenAPI document is valid, complete, and what the server really answers."""

import copy
import csv
import io
import json

import jsonschema
import numpy as np
import pytest
from conftest import client_of, encode, upload
from openapi_spec_validator import OpenAPIV31SpecValidator
from scanfiles import dicom

from brain_cnn.labels import LABELS
from brain_cnn.web.presenters.openapi_document import OPERATIONS, api_rules


@pytest.fixture
def document(client):
    return client.get("/api/v1/openapi.json").json


def test_document_is_valid_openapi_3_1(document, confident):
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
    with_token = client_of(confident, api_token="s3cret")
    headers = {"Authorization": "Bearer s3cret"}
    OpenAPIV31SpecValidator(with_token.get("/api/v1/openapi.json", headers=headers).json).validate()


def test_every_route_is_described(client):
    assert {rule.endpoint for rule in api_rules(client.application)} == set(OPERATIONS)


def test_limits_in_the_document_are_those_of_the_server(classifier):
    document = client_of(classifier, max_files=7, max_file_mib=3).get("/api/v1/openapi.json").json
    form = document["paths"]["/api/v1/predict"]["post"]["requestBody"]["content"]
    schema = form["multipart/form-data"]["schema"]["properties"]["file"]
    assert "at most 7 parts" in schema["description"] and "3 MiB" in schema["description"]


def strict(schema):
    """Return the schema with nothing allowed that it does not describe."""
    if isinstance(schema, dict):
        schema = {name: strict(part) for name, part in schema.items()}
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [strict(part) for part in schema]
    return schema


def check(document, response, path):
    """Hold a real answer against what the document says of it."""
    described = document["paths"][path]["post"]["responses"][str(response.status_code)]
    kind = response.content_type.partition(";")[0]
    schema = copy.deepcopy(described["content"][kind]["schema"])
    schema["components"] = strict(document["components"])
    value = json.loads(response.data) if "json" in kind else response.text
    jsonschema.Draft202012Validator(schema).validate(value)


def noise():
    return encode(np.random.default_rng(0).integers(0, 255, (224, 224), np.uint8))


def series(phantom):
    return [dicom(phantom.astype(np.uint16), InstanceNumber=n + 1) for n in range(3)]


@pytest.mark.parametrize("query", ["", "?heatmap=png", "?heatmap=raw"])
def test_answers_are_as_described(document, client, confident, phantom, phantom_png, query):
    path = "/api/v1/predict"
    for app in (client, client_of(confident)):
        for files in ([phantom_png], [noise(), b"junk"], series(phantom), [phantom_png, b""]):
            response = upload(app, *files, url=path + query)
            assert response.status_code == 200
            check(document, response, path)


@pytest.mark.parametrize("data", [b"", b"junk", b"\x89PNG\r\n\x1a\n"])
def test_refusals_are_as_described(document, client, data):
    for path in ("/api/v1/predict", "/api/v1/report", "/api/v1/counterfactual"):
        response = client.post(
            path, data={"file": (io.BytesIO(data), "a"), "region": "[[0,0],[9,0],[9,9]]"}
        )
        assert 400 <= response.status_code < 500
        check(document, response, path)


def test_counterfactual_is_as_described(document, confident, phantom_png):
    path = "/api/v1/counterfactual"
    data = {"file": (io.BytesIO(phantom_png), "a"), "region": "[[90,90],[130,90],[130,130]]"}
    response = client_of(confident).post(path, data=data)
    assert response.status_code == 200, response.text
    check(document, response, path)


def test_report_is_as_described(document, confident, phantom_png):
    response = upload(client_of(confident), phantom_png, url="/api/v1/report")
    assert response.status_code == 200 and response.data.startswith(b"%PDF")
    described = document["paths"]["/api/v1/report"]["post"]["responses"]["200"]["content"]
    assert response.content_type in described


def test_csv_has_a_row_for_each_slice_of_each_file(document, confident, phantom, phantom_png):
    path = "/api/v1/predict"
    client = client_of(confident)
    response = upload(client, phantom_png, b"junk", *series(phantom), url=path + "?format=csv")
    assert response.status_code == 200 and response.content_type.startswith("text/csv")
    check(document, response, path)
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["file"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert "not an image" in rows[1]["error"].lower() or "not-an-image" in rows[1]["error"]
    single = upload(client, phantom_png).json["results"][0]
    for label in LABELS:
        assert float(rows[0][f"p_{label}"]) == single["probabilities"][label]


def test_csv_of_a_single_bad_file_is_its_problem(client):
    response = upload(client, b"junk", url="/api/v1/predict?format=csv")
    assert response.status_code == 415 and response.content_type == "application/problem+json"


@pytest.mark.parametrize("query", ["format=xml", "heatmap=gif"])
def test_unknown_parameter_value_is_named(client, phantom_png, query):
    response = upload(client, phantom_png, url=f"/api/v1/predict?{query}")
    assert response.status_code == 400 and query.partition("=")[2] in response.json["detail"]


def test_field_that_is_not_described_would_be_found(document, client, phantom_png):
    response = upload(client, phantom_png)
    body = json.loads(response.data)
    body["results"][0]["new_field"] = 1
    response.data = json.dumps(body)
    with pytest.raises(jsonschema.ValidationError):
        check(document, response, "/api/v1/predict")


def test_page_names_every_route_and_shape_and_loads_nothing_from_elsewhere(client, document):
    page = client.get("/api").text
    for path in document["paths"]:
        assert path in page
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in page
    assert "http://" not in page.replace("http://localhost", "") and "https://" not in page
    assert "<style" not in page and "style=" not in page
