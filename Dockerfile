# yallmp in a container: not root, nothing to build with, logs on a volume.
#
#   docker build -t yallmp .
#   docker compose -f deploy/docker/compose.yaml up        the example with keys

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY yallmp yallmp
COPY twisted twisted
# twistd keeps a list of its plugins where they are; later nobody may write there.
RUN python -m venv /opt/yallmp \
    && /opt/yallmp/bin/pip install --no-cache-dir . \
    && /opt/yallmp/bin/twistd --help > /dev/null

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin yallmp \
    && install -d -o yallmp -g yallmp -m 0700 /data
COPY --from=build /opt/yallmp /opt/yallmp
COPY deploy/docker/config.yaml /etc/yallmp/config.yaml
ENV PATH=/opt/yallmp/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER yallmp
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
ENTRYPOINT ["yallmp"]
CMD ["-c", "/etc/yallmp/config.yaml", "--host", "0.0.0.0", "--log-dir", "/data/logs"]
