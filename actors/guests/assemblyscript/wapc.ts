// The calling convention of the lattice: import module `wasmbus` (protocol section 5). A number is a length, or where
// something lies in memory.

@external("wasmbus", "__guest_request")
export declare function guestRequest(operation: usize, argument: usize): void;

@external("wasmbus", "__guest_response")
export declare function guestResponse(result: usize, length: i32): void;

@external("wasmbus", "__guest_error")
export declare function guestError(text: usize, length: i32): void;

@external("wasmbus", "__host_call")
declare function hostCallRaw(
  binding: usize, bindingLength: i32, namespace: usize, namespaceLength: i32,
  operation: usize, operationLength: i32, argument: usize, argumentLength: i32,
): i32;

@external("wasmbus", "__host_response_len")
declare function hostResponseLength(): i32;

@external("wasmbus", "__host_response")
declare function hostResponse(to: usize): void;

@external("wasmbus", "__host_error_len")
declare function hostErrorLength(): i32;

@external("wasmbus", "__host_error")
declare function hostError(to: usize): void;

/** The result of a call, or the text of its failure. */
export class Outcome {
  constructor(public failed: bool, public bytes: Uint8Array) {}

  static success(result: Uint8Array): Outcome {
    return new Outcome(false, result);
  }

  static failure(text: string): Outcome {
    return new Outcome(true, Uint8Array.wrap(String.UTF8.encode(text)));
  }
}

/** Calls out through the host; the text of a failure is the host's. */
export function hostCall(binding: string, namespace: string, operation: string, argument: Uint8Array): Outcome {
  const b = String.UTF8.encode(binding);
  const n = String.UTF8.encode(namespace);
  const o = String.UTF8.encode(operation);
  const code = hostCallRaw(
    changetype<usize>(b), b.byteLength, changetype<usize>(n), n.byteLength,
    changetype<usize>(o), o.byteLength, argument.dataStart, argument.length,
  );
  const failed = code != 1;
  // Nothing is held when the length is zero, and asking for it then would trap.
  const bytes = new Uint8Array(failed ? hostErrorLength() : hostResponseLength());
  if (bytes.length > 0) {
    if (failed) hostError(bytes.dataStart);
    else hostResponse(bytes.dataStart);
  }
  return new Outcome(failed, bytes);
}

/** What the language calls where it cannot go on; without it the module would import a function no host has. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const text = Uint8Array.wrap(String.UTF8.encode(`${message || "aborted"} (${file || "?"}:${line}:${column})`));
  guestError(text.dataStart, text.length);
  unreachable();
}
