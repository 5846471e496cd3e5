// An actor in AssemblyScript: a waPC module without any SDK.

import { Request, decodeRequest, encodeResponse } from "./http";
import { Outcome, guestError, guestRequest, guestResponse, hostCall } from "./wapc";

const CALLS = "/call/";

/** What the host calls; it announces the lengths of what it then writes. 1 is success. */
export function __guest_call(operationLength: i32, argumentLength: i32): i32 {
  const operation = new Uint8Array(operationLength);
  const argument = new Uint8Array(argumentLength);
  guestRequest(operation.dataStart, argument.dataStart);
  const outcome = handle(String.UTF8.decode(operation.buffer), argument);
  const bytes = outcome.bytes;
  if (outcome.failed) {
    guestError(bytes.dataStart, bytes.length);
    return 0;
  }
  guestResponse(bytes.dataStart, bytes.length);
  return 1;
}

/** Answers one call; the text of a failure goes to the caller as it is. */
function handle(operation: string, argument: Uint8Array): Outcome {
  if (operation != "HttpServer.HandleRequest") return Outcome.failure(`unknown operation \`${operation}\``);
  const request = decodeRequest(argument);
  if (request == null) return Outcome.failure("the message is malformed");
  return answer(request);
}

function answer(request: Request): Outcome {
  if (request.path == "/fail") return Outcome.failure("failed as asked");
  if (request.path.startsWith(CALLS)) {
    const said = hostCall("", request.path.substring(CALLS.length), "Greet", request.body);
    return Outcome.success(encodeResponse(said.failed ? 502 : 200, said.bytes));
  }
  const name = request.name.length > 0 ? request.name : "nobody";
  const line = `assemblyscript: ${request.method} ${request.path}?${request.query} from ${name}\n`;
  const head = Uint8Array.wrap(String.UTF8.encode(line));
  const body = new Uint8Array(head.length + request.body.length);
  body.set(head);
  body.set(request.body, head.length);
  return Outcome.success(encodeResponse(200, body));
}
