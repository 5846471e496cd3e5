package main

import (
	"encoding/binary"
	"errors"
)

// The part of MessagePack that messages of contracts are made of.

var errMalformed = errors.New("the message is malformed")

// deepest is how deep a value that is skipped may be nested.
const deepest = 32

// reader takes values from the front. After the first error it gives zero values only.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail() {
	r.rest, r.err = nil, errMalformed
}

func (r *reader) take(length uint64) []byte {
	if length > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	taken := r.rest[:length]
	r.rest = r.rest[length:]
	return taken
}

// number takes a big-endian number of so many bytes.
func (r *reader) number(width uint64) uint64 {
	var number uint64
	for _, b := range r.take(width) {
		number = number<<8 | uint64(b)
	}
	return number
}

func (r *reader) marker() byte {
	return byte(r.number(1))
}

func (r *reader) mapLen() uint64 {
	switch marker := r.marker(); {
	case marker&0xf0 == 0x80:
		return uint64(marker & 0x0f)
	case marker == 0xde:
		return r.number(2)
	case marker == 0xdf:
		return r.number(4)
	}
	r.fail()
	return 0
}

func (r *reader) arrayLen() uint64 {
	switch marker := r.marker(); {
	case marker&0xf0 == 0x90:
		return uint64(marker & 0x0f)
	case marker == 0xdc:
		return r.number(2)
	case marker == 0xdd:
		return r.number(4)
	}
	r.fail()
	return 0
}

func (r *reader) text() string {
	switch marker := r.marker(); {
	case marker&0xe0 == 0xa0:
		return string(r.take(uint64(marker & 0x1f)))
	case marker >= 0xd9 && marker <= 0xdb:
		return string(r.take(r.number(1 << (marker - 0xd9))))
	}
	r.fail()
	return ""
}

func (r *reader) bytes() []byte {
	if marker := r.marker(); marker >= 0xc4 && marker <= 0xc6 {
		return r.take(r.number(1 << (marker - 0xc4)))
	}
	r.fail()
	return nil
}

// skip takes a value of any kind that is not asked for.
func (r *reader) skip() {
	r.skipNested(deepest)
}

func (r *reader) skipNested(deepest int) {
	if len(r.rest) == 0 || deepest == 0 {
		r.fail()
		return
	}
	var items uint64
	switch marker := r.rest[0]; {
	case marker&0xf0 == 0x80, marker == 0xde, marker == 0xdf:
		items = 2 * r.mapLen()
	case marker&0xf0 == 0x90, marker == 0xdc, marker == 0xdd:
		items = r.arrayLen()
	case marker&0xe0 == 0xa0, marker >= 0xd9 && marker <= 0xdb:
		r.text()
	case marker >= 0xc4 && marker <= 0xc6:
		r.bytes()
	case marker >= 0xca && marker <= 0xd3:
		r.take(1 + uint64([...]byte{4, 8, 1, 2, 4, 8, 1, 2, 4, 8}[marker-0xca]))
	case marker < 0x80, marker >= 0xe0, marker == 0xc0, marker == 0xc2, marker == 0xc3:
		r.take(1)
	default:
		r.fail() // extensions are in no contract
	}
	for ; items > 0 && r.err == nil; items-- {
		r.skipNested(deepest - 1)
	}
}

// writer appends values.
type writer struct {
	out []byte
}

// mapLen opens a map of at most 15 members.
func (w *writer) mapLen(members byte) {
	w.out = append(w.out, 0x80|members)
}

// arrayLen opens an array of at most 15 items.
func (w *writer) arrayLen(items byte) {
	w.out = append(w.out, 0x90|items)
}

// text appends a text of at most 31 bytes.
func (w *writer) text(text string) {
	w.out = append(append(w.out, 0xa0|byte(len(text))), text...)
}

func (w *writer) uint16(number uint16) {
	w.out = binary.BigEndian.AppendUint16(append(w.out, 0xcd), number)
}

func (w *writer) bytes(bytes []byte) {
	w.out = binary.BigEndian.AppendUint32(append(w.out, 0xc6), uint32(len(bytes)))
	w.out = append(w.out, bytes...)
}
