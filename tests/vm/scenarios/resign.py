# SPDX-License-Identifier: Apache-2.0
"""resign.py HOST REPOSITORY FROM TO KEY [--root HEX] [--blob FILE]

What a publisher does who errs or lies, and holds a key that is trusted: the manifest under tag FROM, with another root
hash or another blob in its first layer, is pushed under tag TO with a valid signature. Made without sluice's own code.
Prints the digest of the layer's blob.
"""
import argparse
import base64
import hashlib
import json
import ssl
import subprocess
import urllib.request

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SIGNED = "application/vnd.dev.cosign.simplesigning.v1+json"
ROOT = "org.erofs.dmverity.root_digest"


def parse_arguments():
    parser = argparse.ArgumentParser()
    for name in ("host", "repository", "source", "target", "key"):
        parser.add_argument(name)
    parser.add_argument("--root")
    parser.add_argument("--blob")
    return parser.parse_args()


class Repository:
    def __init__(self, host, name):
        self._base = f"https://{host}/v2/{name}"
        self._context = ssl.create_default_context()  # knows the authority of SSL_CERT_FILE

    def request(self, method, url, body=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, data=body, method=method, headers=named)
        return urllib.request.urlopen(request, context=self._context)

    def manifest(self, tag):
        return json.load(self.request("GET", f"{self._base}/manifests/{tag}", Accept=MANIFEST))

    def push_blob(self, data):
        digest = digest_of(data)
        upload = self.request("POST", f"{self._base}/blobs/uploads/", b"").headers["Location"]
        self.request("PUT", f"{upload}&digest={digest}", data, Content_Type="application/octet-stream")
        return {"digest": digest, "size": len(data)}

    def push_manifest(self, tag, document):
        data = json.dumps(document).encode()
        self.request("PUT", f"{self._base}/manifests/{tag}", data, Content_Type=MANIFEST)
        return digest_of(data)


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sign(repository, reference, digest, key):
    payload = json.dumps({
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": None,
    }).encode()
    made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=payload, capture_output=True, check=True)
    layer = {"mediaType": SIGNED, **repository.push_blob(payload)}
    layer["annotations"] = {"dev.cosignproject.cosign/signature": base64.b64encode(made.stdout).decode()}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **repository.push_blob(b"{}")}
    repository.push_manifest(
        digest.replace(":", "-") + ".sig",
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]},
    )


def main():
    args = parse_arguments()
    repository = Repository(args.host, args.repository)
    manifest = repository.manifest(args.source)
    layer = manifest["layers"][0]
    if args.root:
        layer["annotations"][ROOT] = args.root
    if args.blob:
        with open(args.blob, "rb") as blob:
            layer.update(repository.push_blob(blob.read()))
    digest = repository.push_manifest(args.target, manifest)
    sign(repository, f"{args.host}/{args.repository}", digest, args.key)
    print(layer["digest"])


main()
