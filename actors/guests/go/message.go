package main

// HTTP as the messages of the contract `wasmcloud:httpserver` (protocol section 7.6).

// request is what we use of a request. Of a header that came more than once, the first value.
type request struct {
	method, path, query string
	header              map[string]string
	body                []byte
}

type response struct {
	status uint16
	body   []byte
}

func decodeRequest(message []byte) (request, error) {
	r := reader{rest: message}
	asked := request{header: map[string]string{}}
	for members := r.mapLen(); members > 0 && r.err == nil; members-- {
		switch r.text() {
		case "method":
			asked.method = r.text()
		case "path":
			asked.path = r.text()
		case "queryString":
			asked.query = r.text()
		case "header":
			for names := r.mapLen(); names > 0 && r.err == nil; names-- {
				name := r.text()
				for values := r.arrayLen(); values > 0 && r.err == nil; values-- {
					value := r.text()
					if _, seen := asked.header[name]; !seen {
						asked.header[name] = value
					}
				}
			}
		case "body":
			asked.body = r.bytes()
		default:
			r.skip()
		}
	}
	return asked, r.err
}

func (answered response) encode() []byte {
	var w writer
	w.mapLen(3)
	w.text("statusCode")
	w.uint16(answered.status)
	w.text("header")
	w.mapLen(2)
	for _, header := range [][2]string{{"content-type", "text/plain; charset=utf-8"}, {"x-language", "go"}} {
		w.text(header[0])
		w.arrayLen(1)
		w.text(header[1])
	}
	w.text("body")
	w.bytes(answered.body)
	return w.out
}
