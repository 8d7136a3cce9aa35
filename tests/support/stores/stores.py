"""Object stores on loopback for the tests: `stores.py SERVERS FILES DATA`.

SERVERS is what `install` has made. Starts moto, Azurite and gcp-storage-emulator, puts every file of FILES into the
bucket, container or bucket called `contexts` of each, and prints a line `NAME VALUE` for everything that a test needs to
know, then `ready`. From then on moto refuses what is not signed with a key that it has given out; a second one, which
takes everything, is there for web identities and the instance's role. The servers end with this program.
"""

import base64
import ctypes
import hashlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

SERVERS, FILES, DATA = sys.argv[1:4]
ACCOUNT = "devstoreaccount1"
# Azurite's own, in its documentation.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
NAME = "contexts"
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
TRUST_IN = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"sts:AssumeRole"}]}'
TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"*"},"Action":"sts:AssumeRoleWithWebIdentity"}]}'

started = []


def main():
    moto, open_moto, azurite, gcs = free_ports(4)
    binaries = os.path.join(SERVERS, "python", "bin")
    for port in (moto, open_moto):
        start([os.path.join(binaries, "moto_server"), "-H", "127.0.0.1", "-p", str(port)])
    start(
        [
            "node",
            os.path.join(SERVERS, "node/node_modules/azurite/dist/src/blob/main.js"),
            "--inMemoryPersistence",
            "--disableTelemetry",
            "--skipApiVersionCheck",
            "--blobPort",
            str(azurite),
        ]
    )
    start(
        [os.path.join(binaries, "gcp-storage-emulator"), "start", "--host=127.0.0.1", f"--port={gcs}", "--in-memory", f"--default-bucket={NAME}"]
    )
    for port in (moto, open_moto, azurite, gcs):
        wait_for(port)
    fill_gcs(f"http://127.0.0.1:{gcs}")
    fill_azure(f"http://127.0.0.1:{azurite}")
    fill_s3(f"http://127.0.0.1:{moto}", f"http://127.0.0.1:{open_moto}")
    print("ready", flush=True)
    signal.pause()


def start(command):
    def die_with_parent():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)

    log = open(os.path.join(DATA, f"{len(started)}.log"), "wb")
    started.append(subprocess.Popen(command, stdout=log, stderr=log, cwd="/", preexec_fn=die_with_parent))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(port):
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline or any(one.poll() is not None for one in started):
                sys.exit(f"a server on port {port} did not start: see {DATA}")
            time.sleep(0.02)


def files():
    for name in sorted(os.listdir(FILES)):
        with open(os.path.join(FILES, name), "rb") as file:
            yield name, file.read()


def fill_gcs(url):
    for name, data in files():
        path = f"/upload/storage/v1/b/{NAME}/o?uploadType=media&name={quote(name)}"
        urlopen(Request(url + path, data, {"Content-Type": "application/octet-stream"})).read()
    print("gcs", url)


def fill_azure(url):
    call_azure(url, f"/{NAME}", {"restype": "container"}, b"", {})
    for name, data in files():
        call_azure(url, f"/{NAME}/{quote(name)}", {}, data, {"x-ms-blob-type": "BlockBlob"})
    print("azure", f"{url}/{ACCOUNT}")
    print("azure-account", ACCOUNT)
    print("azure-key", ACCOUNT_KEY)
    print("azure-sas", sas())


def call_azure(url, path, query, data, headers):
    """PUT, signed as "Authorize with Shared Key" of Azure's REST reference says."""
    headers = dict(headers)
    headers["x-ms-date"] = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers["x-ms-version"] = "2021-12-02"
    own = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    kind = "application/octet-stream"
    length = str(len(data)) if data else ""
    resource = f"/{ACCOUNT}/{ACCOUNT}{path}" + "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
    text = f"PUT\n\n\n{length}\n\n{kind}\n\n\n\n\n\n\n{own}{resource}"
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{signed(text)}"
    headers["Content-Type"] = kind
    target = f"{url}/{ACCOUNT}{path}" + (f"?{urlencode(query)}" if query else "")
    urlopen(Request(target, data, headers, method="PUT")).read()


def sas():
    """The query of an account SAS that reads blobs ("Create an account SAS")."""
    version, until = "2021-12-02", (datetime.now(timezone.utc) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = [ACCOUNT, "r", "b", "o", "", until, "", "https,http", version, ""]
    signature = signed("\n".join(fields) + "\n")
    return urlencode({"sv": version, "ss": "b", "srt": "o", "sp": "r", "se": until, "spr": "https,http", "sig": signature})


def signed(text):
    digest = hmac.new(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def fill_s3(guarded, unguarded):
    import boto3

    def client(service, url):
        return boto3.client(
            service, endpoint_url=url, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
        )

    for url in (guarded, unguarded):
        s3 = client("s3", url)
        s3.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        for name, data in files():
            s3.put_object(Bucket=NAME, Key=name, Body=data)
    iam = client("iam", guarded)
    user = iam.create_user(UserName="ci")["User"]["Arn"]
    iam.put_user_policy(UserName="ci", PolicyName="all", PolicyDocument=POLICY)
    key = iam.create_access_key(UserName="ci")["AccessKey"]
    assumed = iam.create_role(RoleName="assumed", AssumeRolePolicyDocument=TRUST_IN % user)["Role"]
    closed = iam.create_role(RoleName="closed", AssumeRolePolicyDocument=TRUST)["Role"]
    iam.put_role_policy(RoleName="assumed", PolicyName="all", PolicyDocument=POLICY)
    role = client("iam", unguarded).create_role(RoleName="ci-role", AssumeRolePolicyDocument=TRUST)["Role"]
    reset = Request(f"{guarded}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST")
    urlopen(reset).read()
    print("s3", guarded)
    print("s3-key", key["AccessKeyId"])
    print("s3-secret", key["SecretAccessKey"])
    print("s3-assumed", assumed["Arn"])
    print("s3-closed", closed["Arn"])
    print("s3-open", unguarded)
    print("s3-role", role["Arn"])


main()
