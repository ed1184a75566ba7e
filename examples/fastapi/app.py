from fastapi import FastAPI, Request

app = FastAPI()

@app.get("/healthz")
def health():
    return {"status": "ok"}

@app.api_route("/{path:path}", methods=["GET", "POST", "PATCH", "DELETE"])
def echo(path: str, request: Request):
    caller = {name: value for name, value in request.headers.items() if name.startswith("x-user-")}
    return {"method": request.method, "path": f"/{path}", "caller": caller}
