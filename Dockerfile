# The challenge's container: segments below /data, prediction below /output, no network, not root.
#   docker build --build-arg RUN=output/main -t spasm .
#   docker run --rm --network none -v "$PWD/input:/data:ro" -v "$PWD/output:/output" -e INPUT=test -e OUTPUT=prediction.csv spasm
# The user of the container must be allowed to write the folder mounted at /output: add --user "$(id -u)".
FROM python:3.11-slim

RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY submission.py container.py ./
COPY src ./src
ARG RUN=output/main
COPY ${RUN} ./output/main
RUN useradd --system spasm
USER spasm
ENV PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["python", "container.py"]
