"""A person logs in with requests-oauthlib: password, then the code that is asked for, then the token.

usage: requests_oauthlib_client.py TOKEN_URL API_URL USERNAME PASSWORD CODE

The client knows nothing of the gateway but its header: a 4xx with X-Drupal-TFA asks for a code. Prints
one JSON object: the challenge as the library showed it, and what the API answered to the token.
"""

import json
import os
import sys

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback without TLS
os.environ["OAUTHLIB_RELAX_TOKEN_SCOPE"] = "1"

from oauthlib.oauth2 import LegacyApplicationClient, OAuth2Error  # noqa: E402
from requests_oauthlib import OAuth2Session  # noqa: E402

token_url, api_url, username, password, code = sys.argv[1:]
session = OAuth2Session(client=LegacyApplicationClient(client_id="testclient"))
answers = []
session.register_compliance_hook("access_token_response", lambda r: answers.append(r) or r)


def fetch(**headers):
    return session.fetch_token(
        token_url,
        username=username,
        password=password,
        auth=("testclient", "testpass"),
        scope=["openid", "basic"],
        headers={"Accept": "application/json", **headers} if headers else None,
    )


report = {}
try:
    fetch()
except OAuth2Error as e:
    report["challenge"] = {
        "type": type(e).__name__,
        "error": e.error,
        "error_description": e.description,
        "status": answers[-1].status_code,
        "header": answers[-1].headers.get("X-Drupal-TFA"),
    }
    challenge = answers[-1]
    if 400 <= challenge.status_code < 500 and challenge.headers.get("X-Drupal-TFA"):
        fetch(**{"X-Drupal-TFA": code})

report["token_type"] = session.token["token_type"]
report["access_token_length"] = len(session.token["access_token"])
report["api_status"] = session.get(api_url).status_code
print(json.dumps(report))
