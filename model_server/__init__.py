"""A stand-in for tensorflow/serving where that image cannot run: the same gRPC services, flags and files, in Python.

Words are upstream's (tensorflow_serving/g3doc/architecture.md): the *source* looks at base paths and aspires
versions, the *manager* brings what is loaded in line with that, the *loader* turns a SavedModel into a
*servable*, and the *services* answer requests with it.

What differs from tensorflow_model_server, on purpose:

- A base path that is missing or holds no version is reported once and waited for. It neither keeps the server
  from starting, nor stops the polling of other models, nor unloads what it served before. (Deleting one version
  while others remain does unload it.)
- The gRPC port opens once every model that has a version serves one, or has failed with all of them. A model
  that cannot be loaded does not stop the server: GetModelStatus tells what is wrong with it.
- SIGTERM and SIGINT drain: health says NOT_SERVING, no new request is taken, running ones get
  ``--shutdown_grace_seconds``, and the exit status is 0.
- A broken version is retried twice, one second apart, instead of five times, one minute apart; after that it is
  tried again when its files change, so a slow copy serves in the end. Loads never hold up other models.
- HandleReloadConfigRequest answers OK once every version of the models that it adds or changes is AVAILABLE, and an error
  if one is missing or fails, again each time it is repeated. Upstream waits for one version of each model with a new
  name, for ever if it has none, and keeps serving an old directory under a new base path. It remembers a configuration
  only once its labels were accepted. A client that gives up before its turn changes nothing.
- ``--help`` exits 0. There is no REST API: ``--rest_api_port`` serves Prometheus metrics only, if the
  monitoring configuration asks for them.
"""
