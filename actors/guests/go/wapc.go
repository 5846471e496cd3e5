package main

import (
	"errors"
	"unsafe"
)

// The calling convention of the lattice (protocol section 5). A string parameter is passed as pointer and length.

//go:wasmimport wasmbus __guest_request
func guestRequest(operation, argument unsafe.Pointer)

//go:wasmimport wasmbus __guest_response
func guestResponse(result string)

//go:wasmimport wasmbus __guest_error
func guestError(text string)

//go:wasmimport wasmbus __host_call
func hostCallRaw(binding, namespace, operation, argument string) int32

//go:wasmimport wasmbus __host_response_len
func hostResponseLen() uint32

//go:wasmimport wasmbus __host_response
func hostResponse(to unsafe.Pointer)

//go:wasmimport wasmbus __host_error_len
func hostErrorLen() uint32

//go:wasmimport wasmbus __host_error
func hostError(to unsafe.Pointer)

// guestCall is what the host calls; it announces the lengths of what it then writes. 1 is success.
//
//go:wasmexport __guest_call
func guestCall(operationLength, argumentLength uint32) int32 {
	operation, argument := make([]byte, operationLength), make([]byte, argumentLength)
	guestRequest(start(operation), start(argument))
	result, err := handle(string(operation), argument)
	if err != nil {
		guestError(err.Error())
		return 0
	}
	guestResponse(view(result))
	return 1
}

// hostCall calls out through the host; the text of the error is the host's.
func hostCall(binding, namespace, operation string, argument []byte) ([]byte, error) {
	if hostCallRaw(binding, namespace, operation, view(argument)) == 1 {
		return fetch(hostResponseLen(), hostResponse), nil
	}
	return nil, errors.New(view(fetch(hostErrorLen(), hostError)))
}

// fetch takes what the host holds. Nothing is held when the length is zero, and asking for it then would trap.
func fetch(length uint32, take func(unsafe.Pointer)) []byte {
	bytes := make([]byte, length)
	if length > 0 {
		take(start(bytes))
	}
	return bytes
}

func start(bytes []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(bytes))
}

// view is the bytes as a string, without a copy: only for bytes that nobody changes any more.
func view(bytes []byte) string {
	return unsafe.String(unsafe.SliceData(bytes), len(bytes))
}
