"""A web server for the tests: `file_server.py DIRECTORY [CERTIFICATE KEY]`.

The first element of a path says how the server behaves, the rest is a file of the directory. The first line of its
output is its port; then comes one line for each request: method, path, and the authorization that came with it.
"""

import hashlib
import os
import ssl
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

ROOT = sys.argv[1]
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
seen = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def do_PUT(self):
        self.answer()

    def answer(self):
        authorization = self.headers.get("Authorization", "-")
        print(self.command, self.path, authorization, flush=True)
        url = urlsplit(self.path)
        behaviour, _, name = url.path.lstrip("/").partition("/")
        is_first = (behaviour, name) not in seen
        if self.command != "HEAD":
            seen.add((behaviour, name))
        if behaviour == "away":
            return self.send(302, {"Location": unquote(url.query)})
        if behaviour == "silent":
            time.sleep(600)
        if behaviour == "no-head" and self.command == "HEAD":
            return self.send(405)
        if behaviour == "private" and authorization != "Bearer sesame-e2e":
            return self.send(401)
        if behaviour == "basic" and authorization != "Basic dXNlcjpwYXNz":
            return self.send(401)
        if behaviour == "flaky" and is_first and self.command == "GET":
            return self.send(503)
        if behaviour in ("git", "older-git", "private-git"):
            if behaviour == "private-git" and authorization != "Basic eC1hY2Nlc3MtdG9rZW46c2VzYW1lLWUyZQ==":
                return self.send(401)
            return self.git(name, url.query, behaviour == "older-git")
        path = os.path.join(ROOT, unquote(name))
        if self.command == "PUT":
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with open(path, "wb") as file:
                file.write(self.headers["Content-Type"].encode() + b"\n" + body)
            return self.send(201)
        if not os.path.isfile(path):
            return self.send(404)
        with open(path, "rb") as file:
            body = file.read()
        headers = {"Content-Length": str(len(body))}
        if behaviour == "dated":
            headers["Last-Modified"] = DATE
        if behaviour in ("tagged", "no-head", "private", "flaky", "cut", "resumed"):
            headers["ETag"] = '"%s"' % hashlib.sha256(body).hexdigest()
        wanted = self.headers.get("Range", "")
        if behaviour == "replaced":
            # Another file with every answer, which is cut the first time.
            cut = is_first and self.command == "GET"
            headers["ETag"] = '"first"' if is_first else '"another"'
            self.send(200, headers, body[: len(body) // 2] if cut else body)
            self.close_connection = cut
            return None
        if behaviour == "rangeless":
            # What breaks off once, and of which no part can be had.
            if wanted:
                return self.send(416)
            cut = is_first and self.command == "GET"
            headers["ETag"] = '"same"'
            self.send(200, headers, body[: len(body) // 2] if cut else body)
            self.close_connection = cut
            return None
        if behaviour in ("resumable", "weak", "changed"):
            tag = '"%s"' % hashlib.sha256(body).hexdigest()
            if behaviour == "changed" and not is_first:
                body = body.upper()
                tag = '"another"'
            headers = {"Content-Length": str(len(body)), "ETag": "W/" + tag if behaviour == "weak" else tag}
            # Whoever has the first half does not want it again, unless nothing says that it is the same file's.
            asks_well = bool(wanted) == (behaviour != "weak") and (not wanted or self.headers.get("If-Range"))
            if self.command == "GET" and not is_first and not asks_well:
                return self.send(409)
            if wanted and self.headers.get("If-Range") == tag:
                start = int(wanted[len("bytes=") : -1])
                headers["Content-Range"] = "bytes %d-%d/%d" % (start, len(body) - 1, len(body))
                headers["Content-Length"] = str(len(body) - start)
                return self.send(206, headers, body[start:])
            is_cut = self.command == "GET" and is_first
            self.send(200, headers, body[: len(body) // 2] if is_cut else body)
            if is_cut:
                self.close_connection = True
            return None
        if behaviour == "unstable":
            headers["ETag"] = '"%s"' % os.urandom(8).hex()
        if behaviour == "stalled":
            self.send(200, headers, body[: len(body) // 2])
            time.sleep(600)
        begin = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0]
        if behaviour == "resumed" and begin != "0":
            headers["Content-Range"] = "bytes %s-%d/%d" % (begin, len(body) - 1, len(body))
            headers["Content-Length"] = str(len(body) - int(begin))
            return self.send(206, headers, body[int(begin) :])
        cut = behaviour in ("cut", "resumed") and is_first and self.command == "GET"
        self.send(200, headers, body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def git(self, name, query, is_older):
        length = int(self.headers.get("Content-Length", "0"))
        environment = dict(
            os.environ,
            GIT_PROJECT_ROOT=ROOT,
            GIT_HTTP_EXPORT_ALL="1",
            PATH_INFO="/" + name,
            QUERY_STRING=query,
            REQUEST_METHOD=self.command,
            CONTENT_TYPE=self.headers.get("Content-Type", ""),
            CONTENT_LENGTH=str(length),
            GIT_PROTOCOL="" if is_older else self.headers.get("Git-Protocol", ""),
        )
        made = subprocess.run(
            ["git", "-c", "safe.directory=*", "http-backend"],
            input=self.rfile.read(length),
            env=environment,
            stdout=subprocess.PIPE,
            check=False,
        )
        head, _, body = made.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200 OK").split(" ")[0])
        headers["Content-Length"] = str(len(body))
        self.send(status, headers, body)

    def send(self, status, headers=None, body=b""):
        self.send_response(status)
        headers = headers or {}
        headers.setdefault("Content-Length", "0")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.wfile.flush()


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
