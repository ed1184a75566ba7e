"""The whole life of a user, by a client that knows the auth API from its OpenAPI document alone.

    life.py URL ROOT_PASSWORD

Calls are named by operation ids; methods, paths and media types come from the document, and every
answer is held to the schema that the document gives for it.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie

import httpx
from jsonschema import Draft202012Validator

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Api:
    """The operations of one document."""

    def __init__(self, base: str):
        self.http = httpx.Client(base_url=base, timeout=30)
        self.document = self.http.get("/api/v1/openapi.json").raise_for_status().json()
        self.operations = {
            operation["operationId"]: (method, path, operation)
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
            if "operationId" in operation
        }
        self.called = set()

    def call(self, name, expect, /, *, token=None, body=None, form=None, headers=None, **parameters):
        """Calls an operation and returns its answer's body; whatever is not as documented fails."""
        method, path, operation = self.operations[name]
        self.called.add(name)
        query = {}
        for parameter in operation.get("parameters", []):
            if parameter["name"] in parameters:
                value = parameters.pop(parameter["name"])
                if parameter["in"] == "path":
                    path = path.replace("{%s}" % parameter["name"], str(value))
                else:
                    query[parameter["name"]] = value
        assert not parameters, f"{name} has no parameter {', '.join(parameters)}"
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = {"params": query, "headers": headers}
        media = operation.get("requestBody", {}).get("content", {})
        if body is not None:
            if expect != 422:
                self.fits(media[JSON]["schema"], body, f"what is sent to {name}")
            request["json"] = body
        if form is not None:
            assert FORM in media, f"{name} takes no form"
            request["data"] = form
        answer = self.http.request(method, path, **request)
        # The jar would mix up those who call.
        self.http.cookies.clear()
        assert answer.status_code == expect, (name, answer.status_code, answer.text)
        documented = operation["responses"][str(answer.status_code)]
        if "$ref" in documented:
            documented = self.document["components"]["responses"][documented["$ref"].split("/")[-1]]
        content = documented.get("content", {})
        if not content:
            assert not answer.content, f"{name} answered with a body that is not documented"
            return answer, None
        media_type = answer.headers["content-type"].split(";")[0]
        told = answer.json()
        self.fits(content[media_type]["schema"], told, f"the answer of {name}")
        return answer, told

    def fits(self, schema, value, what):
        # References in it begin at the root of the document.
        validator = Draft202012Validator({**schema, "components": self.document["components"]})
        for error in validator.iter_errors(value):
            raise AssertionError(f"{what}: {error.json_path}: {error.message}")


def cookie(answer) -> str:
    jar = SimpleCookie(answer.headers["set-cookie"])
    (morsel,) = jar.values()
    assert morsel["httponly"] and morsel["samesite"], answer.headers["set-cookie"]
    return f"{morsel.key}={morsel.value}"


def main(url: str, root_password: str):
    api = Api(url)
    call = api.call

    def login(name, password, **more):
        _, told = call("postLogin", 200, form={"username": name, "password": password}, delivery="body", **more)
        return told["access_token"], told["refresh_token"]

    root, _ = login("root", root_password)

    # An account is made, once.
    ann = {"name": "Ann Example", "username": "ann", "email": "ann@example.com", "password": "Correct-Horse-7"}
    call("postUsers", 401, body=ann)
    _, made = call("postUsers", 201, token=root, body=ann)
    call("postUsers", 409, token=root, body=ann)
    call("postUsers", 422, token=root, body={**ann, "username": "ann2", "email": "ann2@example.com", "password": "short"})
    assert made["username"] == "ann" and made["is_active"] and not made["is_superuser"]

    # She signs in: by name and by address, by form and by JSON, with a cookie and without.
    call("postLogin", 401, form={"username": "ann", "password": "Wrong-Horse-7"})
    call("postLogin", 401, form={"username": "nobody", "password": "Wrong-Horse-7"})
    access, refresh = login("ann@example.com", ann["password"])
    answer, told = call("postLogin", 200, body={"username": "ann", "password": ann["password"]})
    assert "refresh_token" not in told
    by_cookie = cookie(answer)
    _, me = call("getUsersMe", 200, token=access)
    assert me["id"] == made["id"] and me["email"] == "ann@example.com"
    call("getUsersMe", 401)

    # A cookie works from the page's own site alone, and is renewed.
    foreign = {"Cookie": by_cookie, "Origin": "https://evil.example"}
    call("postRefresh", 403, headers=foreign)
    answer, _ = call("postRefresh", 200, headers={"Cookie": by_cookie})
    assert cookie(answer) != by_cookie
    by_cookie = cookie(answer)

    # Twenty tabs refresh at once: all go on, in one session.
    with ThreadPoolExecutor(20) as tabs:
        renewed = list(tabs.map(lambda _: call("postRefresh", 200, body={"refresh_token": refresh})[1], range(20)))
    access, refresh = renewed[-1]["access_token"], renewed[-1]["refresh_token"]
    _, sessions = call("getSessions", 200, token=access)
    assert len(sessions["data"]) == 2, sessions
    (other,) = [session["id"] for session in sessions["data"] if not session["current"]]
    call("deleteSessionsId", 204, token=access, id=other)
    call("deleteSessionsId", 404, token=access, id=other)
    call("postRefresh", 401, headers={"Cookie": by_cookie})

    # Profile, address and password.
    _, me = call("patchUsersMe", 200, token=access, body={"name": "Ann of Example", "profile_image_url": "https://example.com/a.png"})
    assert me["name"] == "Ann of Example"
    call("patchUsersMe", 422, token=access, body={"email": "new@example.com"})
    call("patchUsersMe", 422, token=access, body={"email": "new@example.com", "current_password": "Wrong-Horse-7"})
    _, me = call("patchUsersMe", 200, token=access, body={"email": "new@example.com", "current_password": ann["password"]})
    assert me["email"] == "new@example.com"
    elsewhere, _ = login("new@example.com", ann["password"])
    password = "Better-Horse-8"
    call("postUsersMePassword", 200, token=access, body={"current_password": ann["password"], "new_password": password})
    call("getUsersMe", 401, token=elsewhere)
    call("postLogin", 401, form={"username": "ann", "password": ann["password"]})

    # What is not hers to do.
    call("getUsers", 403, token=access)
    call("getAudit", 403, token=access)
    call("putUsersUsernameTier", 403, token=access, username="ann", body={"tier": "free"})
    call("getUsersUsername", 403, token=access, username="root")
    call("patchUsersMe", 422, token=access, body={"is_superuser": True})

    # What a superuser does: it acts at once.
    call("postTiers", 201, token=root, body={"name": "gold", "rank": 5, "rate": "100/s"})
    call("postTiersNameLimits", 201, token=root, name="gold", body={"name": "exports", "path": "/exports/{id}", "method": "POST", "limit": 5, "period": 60})
    _, rules = call("getTiersNameLimits", 200, token=access, name="gold")
    assert [rule["name"] for rule in rules["data"]] == ["exports"]
    rule = rules["data"][0]["id"]
    call("getTiersNameLimitsId", 200, token=access, name="gold", id=rule)
    call("patchTiersNameLimitsId", 200, token=root, name="gold", id=rule, body={"limit": 6})
    _, tiers = call("getTiers", 200, token=access)
    assert "gold" in [tier["name"] for tier in tiers["data"]]
    call("getTiersName", 200, token=access, name="gold")
    call("patchTiersName", 200, token=root, name="gold", body={"rate": "200/s"})
    _, user = call("putUsersUsernameTier", 200, token=root, username="ann", body={"tier": "gold"})
    assert user["tier"] == "gold"
    call("deleteTiersName", 409, token=root, name="gold")
    _, user = call("putUsersUsernameRoles", 200, token=root, username="ann", body={"roles": ["editor"]})
    assert user["roles"] == ["editor"]
    _, me = call("getUsersMe", 200, token=access)
    assert me["tier"] == "gold" and me["roles"] == ["editor"]
    call("putUsersUsernameSuperuser", 200, token=root, username="ann", body={"is_superuser": True})
    call("getUsers", 200, token=access, q="ro")
    call("putUsersUsernameSuperuser", 200, token=root, username="ann", body={"is_superuser": False})
    call("getUsers", 403, token=access)
    call("patchUsersUsername", 200, token=root, username="ann", body={"external_id": "42"})

    # Keys for programs.
    _, key = call("postApiKeys", 201, token=access, body={"name": "report", "scopes": ["read"]})
    _, keys = call("getApiKeys", 200, token=access)
    assert [k["id"] for k in keys["data"]] == [key["id"]] and "key" not in keys["data"][0]
    call("patchApiKeysId", 200, token=access, id=key["id"], body={"name": "reports"})
    call("postApiKeys", 422, token=access, body={"name": "all-seeing", "scopes": ["introspect"]})
    _, seeing = call("postApiKeys", 201, token=root, body={"name": "backend", "scopes": ["introspect"]})
    with_key = {"X-API-Key": seeing["key"]}
    _, said = call("postIntrospect", 200, headers=with_key, form={"token": access})
    assert said["active"] and said["sub"] == made["id"]
    call("postIntrospect", 401, form={"token": access})
    call("deleteApiKeysId", 204, token=access, id=key["id"])
    call("deleteApiKeysId", 404, token=access, id=key["id"])

    # What ends a session.
    gone, its_refresh = login("ann", password)
    call("postRevoke", 200, form={"token": its_refresh})
    call("getUsersMe", 401, token=gone)
    gone, its_refresh = login("ann", password)
    call("postLogout", 200, body={"refresh_token": its_refresh})
    call("postLogout", 200, body={"refresh_token": its_refresh})
    call("getUsersMe", 401, token=gone)
    call("postRefresh", 401, body={"refresh_token": its_refresh})
    gone, _ = login("ann", password)
    _, theirs = call("getUsersUsernameSessions", 200, token=root, username="ann")
    assert len(theirs["data"]) == 2
    call("postLogoutAll", 200, token=access, keep_current="true")
    call("getUsersMe", 401, token=gone)
    call("getUsersMe", 200, token=access)
    call("deleteUsersUsernameSessions", 204, token=root, username="ann")
    call("getUsersMe", 401, token=access)

    # Disabled and enabled again; a password that somebody else sets.
    access, _ = login("ann", password)
    call("postUsersUsernameDisable", 200, token=root, username="ann")
    call("getUsersMe", 401, token=access)
    call("postLogin", 401, form={"username": "ann", "password": password})
    call("postUsersUsernameEnable", 200, token=root, username="ann")
    password = "Third-Horse-9"
    call("postUsersUsernamePassword", 200, token=root, username="ann", body={"new_password": password})
    access, _ = login("ann", password)

    # The end, the return, and the end for good.
    call("deleteUsersMe", 204, token=access)
    call("getUsersMe", 401, token=access)
    call("postLogin", 401, form={"username": "ann", "password": password})
    _, deleted = call("getUsers", 200, token=root, deleted="true")
    assert "ann" in [user["username"] for user in deleted["data"]]
    call("postUsersUsernameRestore", 200, token=root, username="ann")
    login("ann", password)
    call("deleteUsersUsername", 204, token=root, username="ann")
    call("deleteUsersUsername", 204, token=root, username="ann", purge="true")
    call("getUsersUsername", 404, token=root, username="ann")
    call("postUsers", 409, token=root, body=ann)
    call("deleteTiersNameLimitsId", 204, token=root, name="gold", id=rule)
    call("deleteTiersName", 204, token=root, name="gold")

    # All of it was written down.
    _, trail = call("getAudit", 200, token=root, limit="100")
    actions = {event["action"] for event in trail["data"]}
    call("getWellKnownJwksJson", 200)
    call("getWellKnownOauthAuthorizationServer", 200)
    call("getOpenapiJson", 200)
    left = set(api.operations) - api.called
    assert not left, f"never called: {left}"
    print(f"life: {len(api.called)} operations, {len(actions)} kinds of events")


if __name__ == "__main__":
    main(*sys.argv[1:])
