"""The bodies of requests: how large, how slow and how they may be encoded."""

import asyncio
import zlib

import aiohttp
import aiohttp.http_exceptions
from aiohttp import web

from roots_tf.serving.budget import Share
from roots_tf.serving.rest import ApiError

BODY_SECONDS = 30.0  # in which a body must have come
ANSWER_SECONDS = 30.0  # in which an answer must have been taken, or an event of one
# Bytes of memory that a byte of JSON takes at most while it is read: the list in "[],", of three
# bytes, takes 64; texts and numbers take less.
READING_FACTOR = 24


async def read(request: web.Request, limit: int, share: Share) -> bytes | bytearray:
    """The body of a request, which may be compressed by gzip, of at most `limit` bytes.

    Args:
        request: whose headers have come.
        limit: bytes, of the plain body too.
        share: of the memory, which grows with what has come.

    Raises:
        ApiError: 408, it does not come; 400, it breaks off; 413, it is larger; 415, it is encoded
            in another way; 503, its share of the memory cannot grow as it comes.
        ConnectionResetError: the client has gone.
    """
    too_large = ApiError(
        "request-too-large", f"found a larger body; wanted at most {limit} bytes: send fewer rows"
    )
    if (request.content_length or 0) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while piece := await request.content.readany():
                body += piece
                if len(body) > limit:
                    raise too_large
                share.resize(len(body))
    except TimeoutError:
        raise ApiError(
            "wrong-request",
            f"found no end of the body in {BODY_SECONDS:.0f} s; wanted all of it",
            408,
        ) from None
    except (
        web.RequestPayloadError,
        aiohttp.ClientError,
        aiohttp.http_exceptions.HttpProcessingError,
        ConnectionError,
    ) as error:
        raise ApiError("wrong-request", f"found a body that cannot be read: {error}") from None
    except RuntimeError:  # of aiohttp, where the connection was closed before this began
        if request.transport is not None:
            raise
        raise ConnectionResetError from None
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise ApiError(
            "wrong-request", f"found a body in {encoding[:20]}; wanted it plain, or in gzip", 415
        )
    gzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        body = await asyncio.to_thread(gzip.decompress, body, limit + 1)
    except zlib.error as error:
        raise ApiError("wrong-request", f"found a body that is no gzip: {error}") from None
    if len(body) > limit:
        raise too_large
    if not gzip.eof:
        raise ApiError("wrong-request", "found gzip that breaks off; wanted all of it")
    return body
