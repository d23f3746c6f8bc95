"""Multipart forms as programs send them: whatever a file is called, its content arrives.

Werkzeug reads the headers of a part as UTF-8 and gives up the whole form where they are not:
a browser on a Windows of another language, or a hospital's script, sends Latin-1, GB2312,
CP1251 or Shift-JIS. A part for files without a name it takes for text. Names never matter
here, so both are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import IO, Any

from werkzeug.datastructures import FileStorage, Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

FILE_FIELD = "file"
_CHUNK = 64 * 1024


class _Decoder(MultipartDecoder):
    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        return super()._parse_headers(data.decode("utf-8", "replace").encode())

    def next_event(self) -> Event:
        event = super().next_event()
        if isinstance(event, Field) and event.name == FILE_FIELD:
            return File(name=event.name, headers=event.headers, filename="")
        return event


class NamelessFormParser(FormDataParser):
    """Reads forms with parts whose names are in any encoding, or missing."""

    def _parse_multipart(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str],
    ) -> Any:
        boundary = options.get("boundary", "").encode("ascii")
        if not boundary:
            raise ValueError("Missing boundary")
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        for part, content in self._parts(stream, boundary):
            content.seek(0)
            if isinstance(part, File):
                stored = FileStorage(content, part.filename, part.name, headers=part.headers)
                files.append((part.name, stored))
            else:
                fields.append((part.name, content.read().decode("utf-8", "replace")))
        return stream, self.cls(fields), self.cls(files)

    def _parts(
        self, stream: IO[bytes], boundary: bytes
    ) -> Iterator[tuple[Field | File, IO[bytes]]]:
        """Yield each part and its content, in memory.

        Raises:
            RequestEntityTooLarge: too many parts, or a text field that is too long.
            ValueError: the form ends before its end.
        """
        decoder = _Decoder(
            boundary,
            max_form_memory_size=self.max_form_memory_size,
            max_parts=self.max_form_parts,
        )
        part: Field | File | None = None
        content: IO[bytes] = BytesIO()
        ended = False
        while not ended:
            piece = stream.read(_CHUNK)
            ended = not piece
            decoder.receive_data(piece or None)
            event = decoder.next_event()
            while not isinstance(event, (Epilogue, NeedData)):
                if isinstance(event, (Field, File)):
                    part, content = event, BytesIO()
                elif isinstance(event, Data) and part is not None:
                    content.write(event.data)
                    self._check_field(part, content)
                    if not event.more_data:
                        yield part, content
                event = decoder.next_event()

    def _check_field(self, part: Field | File, content: IO[bytes]) -> None:
        most = self.max_form_memory_size
        if isinstance(part, Field) and most is not None and content.tell() > most:
            raise RequestEntityTooLarge
