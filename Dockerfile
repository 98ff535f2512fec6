# The images of the stack from one file:
#   gateway       the HTTP process: Flask, gRPC, numpy, and TensorFlow's message modules without its runtime
#   model_server  the stand-in for tensorflow/serving: same flags, ports, paths and files
#   all_in_one    gateway and model_server in one container with one model, for KServe, SageMaker and Vertex AI
#   export        the build script
#   nginx         Debian's nginx, where the official image cannot be had
#   redis         Debian's Redis, the same
#   postgres      Debian's PostgreSQL, the same
#   prometheus    Debian's Prometheus, the same
# model_server, all_in_one and export share everything but their own code. Dependencies come before code, so that an edit rebuilds in seconds.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# What every image starts from. Bytecode is compiled here, once: the containers' file systems are read-only.
FROM ${PYTHON_IMAGE} AS runtime
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
RUN groupadd --gid 1000 app \
    && useradd --uid 1000 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app
WORKDIR /app

# What packages are installed with. Nothing of this stage but the virtual environment gets into an image.
FROM ${PYTHON_IMAGE} AS installer
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
WORKDIR /build

# TensorFlow's wheel, fetched once for all images: its name and version for this platform are the lock's.
FROM installer AS tensorflow_wheel
COPY requirements/serve.txt .
RUN awk '/^[^ ]/ { wanted = /^tensorflow(-cpu)?==/ } wanted' serve.txt > tensorflow.txt \
    && pip download --no-deps --require-hashes --dest /wheels --requirement tensorflow.txt

FROM installer AS gateway_packages
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends binutils
COPY requirements/gateway.txt .
# Tests, type stubs, C sources, Fortran tools and what only debuggers read are of no use in production. Libraries in *.libs were
# changed after they had been linked, which strip may break.
RUN pip --python /opt/venv/bin/python install --no-deps --require-hashes --requirement gateway.txt \
    && cd /opt/venv/lib/python*/site-packages \
    && rm -rf numpy/f2py numpy/distutils \
    && find . -type d -name tests -prune -exec rm -r {} + \
    && find . -type f '(' -name '*.pyi' -o -name '*.h' -o -name '*.a' -o -name '*.cpp' ')' -delete \
    && find . -name '*.libs' -prune -o -type f -name '*.so' -exec strip --strip-debug {} +
# Of TensorFlow only the messages, as a package without a body: what gateway/backend/stubs.py asks for.
COPY --from=tensorflow_wheel /wheels /wheels
RUN cd /opt/venv/lib/python*/site-packages \
    && python -c 'import sys, zipfile; wheel = zipfile.ZipFile(sys.argv[1]); wheel.extractall(members=[name \
       for name in wheel.namelist() if name.startswith("tensorflow/") and name.endswith("_pb2.py")])' /wheels/*.whl \
    && /opt/venv/bin/python -m compileall -q tensorflow

FROM runtime AS gateway
LABEL org.opencontainers.image.title="serving-gateway" \
      org.opencontainers.image.description="HTTP front door of TensorFlow Serving"
COPY --from=gateway_packages /opt/venv /opt/venv
COPY gateway gateway
# An empty named volume takes the owner of the folder under it.
RUN python -m compileall -q gateway \
    && python -c 'import gateway.server' \
    && install -d -o app -g app /keys /log /state
ENV GATEWAY_HOST=0.0.0.0 \
    GATEWAY_PORT=8080
USER app
EXPOSE 8080
ENTRYPOINT ["python", "-m", "gateway"]

FROM installer AS tensorflow_packages
COPY requirements/serve.txt .
COPY --from=tensorflow_wheel /wheels /wheels
# The C++ headers are for those who compile against TensorFlow: 218 MB.
RUN pip --python /opt/venv/bin/python install --no-deps --require-hashes --find-links /wheels --requirement serve.txt \
    && rm -r /opt/venv/lib/python*/site-packages/tensorflow/include

FROM runtime AS tensorflow
COPY --from=tensorflow_packages /opt/venv /opt/venv
# An empty named volume takes the owner of the folder under it from each container that is made with it. The file ends that
# with the first one: /models of tensorflow/serving belongs to root.
RUN echo 'Model versions lie in NAME/NUMBER. See `python -m model_export --help`.' > README \
    && install -d -o app -g app /models \
    && install -o app -g app -m 644 README /models/README \
    && rm README

FROM tensorflow AS model_server
LABEL org.opencontainers.image.title="serving-gateway-model-server" \
      org.opencontainers.image.description="Stand-in for tensorflow/serving: the same gRPC, flags, ports, paths and files"
COPY model_server model_server
COPY deploy/tf_serving_entrypoint.sh /usr/bin/tf_serving_entrypoint.sh
RUN python -m compileall -q model_server \
    && printf '#!/bin/sh\nexec python -m model_server "$@"\n' > /usr/bin/tensorflow_model_server \
    && chmod 755 /usr/bin/tensorflow_model_server /usr/bin/tf_serving_entrypoint.sh
ENV MODEL_BASE_PATH=/models \
    MODEL_NAME=model
USER app
EXPOSE 8500 8501
ENTRYPOINT ["/usr/bin/tf_serving_entrypoint.sh"]

FROM tensorflow AS all_in_one
LABEL org.opencontainers.image.title="serving-gateway-all-in-one" \
      org.opencontainers.image.description="Model server and gateway in one container, for one model in /mnt/models"
COPY gateway gateway
COPY model_server model_server
COPY deploy/*.py deploy/
RUN python -m compileall -q gateway model_server deploy
ENV GATEWAY_HOST=0.0.0.0 \
    GATEWAY_PORT=8080
USER app
EXPOSE 8080
ENTRYPOINT ["python", "-m", "deploy.container"]

FROM tensorflow AS export
LABEL org.opencontainers.image.title="serving-gateway-export" \
      org.opencontainers.image.description="Builds, publishes and rolls back the model versions that TensorFlow Serving hosts"
COPY model_export model_export
RUN python -m compileall -q model_export
ENV MODELS_DIR=/models
USER app
ENTRYPOINT ["python", "-m", "model_export"]
CMD ["build", "--all", "--if-missing"]

FROM ${PYTHON_IMAGE} AS nginx
LABEL org.opencontainers.image.title="serving-gateway-nginx" \
      org.opencontainers.image.description="Debian's nginx, with openssl as in the official image"
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends nginx openssl \
    && rm -rf /var/lib/apt/lists/*
USER www-data
STOPSIGNAL SIGQUIT
EXPOSE 8443

FROM ${PYTHON_IMAGE} AS redis
LABEL org.opencontainers.image.title="serving-gateway-redis" \
      org.opencontainers.image.description="Debian's Redis, started like the official image"
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o redis -g redis /data
USER redis
WORKDIR /data
EXPOSE 6379
CMD ["redis-server"]

FROM ${PYTHON_IMAGE} AS postgres
LABEL org.opencontainers.image.title="serving-gateway-postgres" \
      org.opencontainers.image.description="Debian's PostgreSQL, started like the official image"
# Without a database of the package's own. The programs are found without the version that is in their folder's name. A tmpfs takes
# the mode of the folder under it, but not its owner.
RUN mkdir /etc/postgresql-common \
    && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
    && apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ \
    && chmod 3777 /var/run/postgresql
COPY --chmod=755 deploy/postgres_entrypoint.sh /usr/local/bin/docker-entrypoint.sh
USER postgres
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]

FROM ${PYTHON_IMAGE} AS prometheus
LABEL org.opencontainers.image.title="serving-gateway-prometheus" \
      org.opencontainers.image.description="Debian's Prometheus, which docker-compose.yml starts like the official image"
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends prometheus \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o nobody -g nogroup /prometheus
USER nobody
EXPOSE 9090
ENTRYPOINT ["prometheus"]
