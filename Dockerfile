# The service, in a container that needs no root and writes nowhere but into /tmp:
#
#     make dist
#     docker build --tag hemiface .
#     docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#         --publish 127.0.0.1:8000:8000 hemiface
#
# Whoever reaches the port may ask; --env HEMIFACE_TOKEN=... asks them for a token.
FROM python:3.13-slim

ENV HEMIFACE_CACHE=/opt/hemiface \
    ORT_DISABLE_TELEMETRY=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1

COPY constraints/serve.txt build/dist/*.whl /put/
RUN python -m pip install --require-hashes --no-deps --requirement /put/serve.txt \
    && python -m pip install --no-deps /put/*.whl \
    && python -m pip check \
    && hemiface models pull \
    && rm -r /put \
    && useradd --system --uid 10001 --no-create-home hemiface

USER 10001
EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["hemiface", "serve", "--host", "0.0.0.0", "--port", "8000"]
