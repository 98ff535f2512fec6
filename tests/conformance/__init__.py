"""/v1 held against facts about TensorFlow Serving's REST port: a case file, the fixture it runs on, and the exceptions."""
