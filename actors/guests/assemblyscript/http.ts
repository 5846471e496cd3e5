// HTTP as the messages of the contract `wasmcloud:httpserver` (protocol section 7.6).

import { Reader, Writer } from "./msgpack";

/** What we use of a request. */
export class Request {
  method: string = "";
  path: string = "";
  query: string = "";
  /** The first value of the header `x-name`. */
  name: string = "";
  body: Uint8Array = new Uint8Array(0);
}

/** None when the message is not a request. */
export function decodeRequest(message: Uint8Array): Request | null {
  const reader = new Reader(message);
  const request = new Request();
  for (let members = reader.map(); members > 0 && !reader.failed; members--) {
    const member = reader.text();
    if (member == "method") request.method = reader.text();
    else if (member == "path") request.path = reader.text();
    else if (member == "queryString") request.query = reader.text();
    else if (member == "header") decodeHeader(reader, request);
    else if (member == "body") request.body = reader.binary();
    else reader.skip();
  }
  return reader.failed ? null : request;
}

function decodeHeader(reader: Reader, request: Request): void {
  for (let names = reader.map(); names > 0 && !reader.failed; names--) {
    const wanted = reader.text() == "x-name";
    for (let values = reader.array(); values > 0 && !reader.failed; values--) {
      const value = reader.text();
      if (wanted && request.name.length == 0) request.name = value;
    }
  }
}

export function encodeResponse(status: u16, body: Uint8Array): Uint8Array {
  const writer = new Writer();
  writer.map(3);
  writer.text("statusCode");
  writer.uint16(status);
  writer.text("header");
  writer.map(2);
  writer.text("content-type");
  writer.array(1);
  writer.text("text/plain; charset=utf-8");
  writer.text("x-language");
  writer.array(1);
  writer.text("assemblyscript");
  writer.text("body");
  writer.binary(body);
  return writer.finish();
}
