"""Configurations that several tests begin with."""

TLS = "tls: { certificates: [{ cert: site.pem, key: site.key }] }"


def site(endpoint: str, listener: str = "", pool: str = "") -> str:
    """One pool behind a plain listener `web` and a TLS listener `secure`."""
    return f"""
listeners:
  web: {{ bind: "127.0.0.1:0", {listener} }}
  secure: {{ bind: "127.0.0.1:0", {TLS}, {listener} }}
pools:
  app: {{ endpoints: ["{endpoint}"], {pool} }}
routes:
  - pool: app
"""


def passing(listener: str, *endpoints: str, pool: str = "") -> str:
    """One pool behind the listener `through`, which has these keys; and a plain listener that says hello."""
    listed = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
    return f"""
listeners:
  through: {{ bind: "127.0.0.1:0", {listener} }}
  web: {{ bind: "127.0.0.1:0" }}
pools:
  app: {{ endpoints: [{listed}], {pool} }}
routes:
  - respond: {{ body: hello }}
"""


TCP = "tcp: { pool: app }"
