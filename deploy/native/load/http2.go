package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	windowMax   = 1<<31 - 1 // RFC 9113, section 6.9.1
	windowStart = 65_535    // section 6.9.2
	buffer      = 64 << 10
)

// A gRPC call that waits for its answer.
type call struct {
	began      time.Time
	hasStatus  bool // :status 200
	isAccepted bool // grpc-status 0
}

// One HTTP/2 connection with some calls under way at a time.
type connection struct {
	*sender
	writer  *bufio.Writer
	framer  *http2.Framer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	block   bytes.Buffer // of header fields, as the encoder writes them
	current *call        // whose header fields are being read
	calls   map[uint32]*call
	nextID  uint32
	window  int64 // bytes that the server takes at once
	ready   int   // streams that wait for a request to be sent
}

func (s *sender) sendHTTP2() error {
	opened, err := net.Dial("tcp", s.order.Address)
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := opened.SetDeadline(s.deadline); err != nil {
		return err
	}
	c := &connection{sender: s, calls: map[uint32]*call{}, nextID: 1, window: windowStart}
	c.writer = bufio.NewWriterSize(opened, buffer)
	reader := bufio.NewReaderSize(opened, buffer)
	c.framer = http2.NewFramer(c.writer, reader)
	c.framer.SetReuseFrames()
	c.encoder = hpack.NewEncoder(&c.block)
	c.decoder = hpack.NewDecoder(4096, c.field) // section 6.5.2
	if err := c.greet(); err != nil {
		return err
	}
	c.ready = s.streams
	for {
		if err := c.begin(); err != nil {
			return err
		}
		if len(c.calls) == 0 {
			return nil
		}
		// What one read has brought is worked off before anything is sent.
		for first := true; first || reader.Buffered() > 0; first = false {
			if err := c.read(); err != nil {
				return fmt.Errorf("%s: %w", s.order.Address, err)
			}
		}
	}
}

// Sends the preface, and waits for the server's settings, which say how much the encoder may remember.
func (c *connection) greet() error {
	if _, err := io.WriteString(c.writer, http2.ClientPreface); err != nil {
		return err
	}
	if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}); err != nil {
		return err
	}
	if err := c.framer.WriteWindowUpdate(0, windowMax-windowStart); err != nil {
		return err
	}
	if err := c.writer.Flush(); err != nil {
		return err
	}
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	settings, isSettings := frame.(*http2.SettingsFrame)
	if !isSettings {
		return fmt.Errorf("%s does not begin with its settings, as HTTP/2 does", c.order.Address)
	}
	return c.settings(settings)
}

// Begins as many calls as may be under way, and sends all that waits to be sent.
func (c *connection) begin() error {
	for c.ready > 0 && c.window >= int64(len(c.body)) {
		if !c.next() {
			c.ready = 0
			break
		}
		c.ready--
		c.block.Reset()
		if err := c.encode(); err != nil {
			return err
		}
		headers := http2.HeadersFrameParam{StreamID: c.nextID, BlockFragment: c.block.Bytes(), EndHeaders: true}
		if err := c.framer.WriteHeaders(headers); err != nil {
			return err
		}
		if err := c.framer.WriteData(c.nextID, true, c.body); err != nil {
			return err
		}
		c.window -= int64(len(c.body))
		c.calls[c.nextID] = &call{began: time.Now()}
		c.nextID += 2
	}
	return c.writer.Flush()
}

func (c *connection) encode() error {
	fields := [4]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: c.order.Path},
		{Name: ":authority", Value: c.order.Address},
	}
	for _, field := range fields {
		if err := c.encoder.WriteField(field); err != nil {
			return err
		}
	}
	for _, field := range c.order.Headers {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return err
		}
	}
	return nil
}

func (c *connection) read() error {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	switch frame := frame.(type) {
	case *http2.HeadersFrame:
		return c.headers(frame)
	case *http2.ContinuationFrame:
		_, err = c.decoder.Write(frame.HeaderBlockFragment())
	case *http2.DataFrame:
		if frame.StreamEnded() {
			c.end(frame.StreamID)
		}
	case *http2.SettingsFrame:
		return c.settings(frame)
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			c.window += int64(frame.Increment)
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			err = c.framer.WritePing(true, frame.Data)
		}
	case *http2.RSTStreamFrame:
		c.end(frame.StreamID)
	case *http2.GoAwayFrame:
		err = fmt.Errorf("the server ends the connection: %s", frame.ErrCode)
	}
	return err
}

func (c *connection) headers(frame *http2.HeadersFrame) error {
	c.current = c.calls[frame.StreamID]
	if _, err := c.decoder.Write(frame.HeaderBlockFragment()); err != nil {
		return err
	}
	if frame.StreamEnded() {
		c.end(frame.StreamID)
	}
	return nil
}

func (c *connection) field(field hpack.HeaderField) {
	if c.current == nil {
		return
	}
	switch field.Name {
	case ":status":
		c.current.hasStatus = field.Value == "200"
	case "grpc-status":
		c.current.isAccepted = field.Value == "0"
	}
}

func (c *connection) end(stream uint32) {
	if ended := c.calls[stream]; ended != nil {
		delete(c.calls, stream)
		c.answered(ended.began, ended.hasStatus && ended.isAccepted)
		c.ready++
	}
}

func (c *connection) settings(frame *http2.SettingsFrame) error {
	if frame.IsAck() {
		return nil
	}
	if size, isGiven := frame.Value(http2.SettingHeaderTableSize); isGiven {
		c.encoder.SetMaxDynamicTableSizeLimit(size)
	}
	return c.framer.WriteSettingsAck()
}
