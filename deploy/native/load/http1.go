package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

var (
	contentLength    = []byte("content-length")
	transferEncoding = []byte("transfer-encoding")
	connectionField  = []byte("connection")
)

// One request at a time on a connection that is kept.
func (s *sender) sendHTTP1() error {
	request := s.request()
	var connection net.Conn
	var reader *bufio.Reader
	defer func() {
		if connection != nil {
			connection.Close()
		}
	}()
	for s.next() {
		if connection == nil {
			opened, err := net.Dial("tcp", s.order.Address)
			if err != nil {
				return err
			}
			connection, reader = opened, bufio.NewReaderSize(opened, 8192)
			if err := connection.SetDeadline(s.deadline); err != nil {
				return err
			}
		}
		began := time.Now()
		if _, err := connection.Write(request); err != nil {
			return err
		}
		status, closes, err := readAnswer(reader)
		if err != nil {
			return fmt.Errorf("%s: %w", s.order.Address, err)
		}
		s.answered(began, status >= 200 && status < 300)
		if closes {
			connection.Close()
			connection = nil
		}
	}
	return nil
}

func (s *sender) request() []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "POST %s HTTP/1.1\r\nhost: %s\r\n", s.order.Path, s.order.Address)
	for _, field := range s.order.Headers {
		fmt.Fprintf(&text, "%s: %s\r\n", field[0], field[1])
	}
	fmt.Fprintf(&text, "content-length: %d\r\n\r\n", len(s.body))
	text.Write(s.body)
	return text.Bytes()
}

// Reads an answer to its end, and tells whether the server closes its connection after it.
func readAnswer(reader *bufio.Reader) (status int, closes bool, err error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, false, errors.New("what came is no answer in HTTP/1.1")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, false, err
	}
	length, chunked := 0, false
	for {
		if line, err = reader.ReadSlice('\n'); err != nil {
			return 0, false, err
		}
		name, value, isField := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		if !isField {
			break
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, contentLength):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, false, err
			}
		case bytes.EqualFold(name, transferEncoding):
			chunked = true
		case bytes.EqualFold(name, connectionField):
			closes = bytes.EqualFold(value, []byte("close"))
		}
	}
	if chunked {
		return status, closes, discardChunks(reader)
	}
	_, err = reader.Discard(length)
	return status, closes, err
}

func discardChunks(reader *bufio.Reader) error {
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 32)
		if err != nil {
			return err
		}
		if _, err = reader.Discard(int(size) + len("\r\n")); err != nil || size == 0 {
			return err
		}
	}
}
