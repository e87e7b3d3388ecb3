"""The floor of `bench/serving.py`: FastAPI answering a constant. `python -m bench.serving_constant PORT`"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/constant/{number}")
async def constant(number: int) -> dict[str, float]:
    return {"probability": 0.5}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
